"""The dashboard in Chromium: how long a person waits, by how many tasks they have.

A latency is what Event Timing (W3C) counts, from the event to the next paint, in steps of 8 ms;
what is below 16 counts as 0. The baseline is a page of the same browser that only paints a number
at each key.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence

from playwright.sync_api import Browser, Page, expect

from benchmarks.figures import Row, percentile, show
from benchmarks.rig import Rig, running
from tests.support.browser.chromium import a_chromium
from tests.support.dashboard.visitor import Tab, Visitor
from tests.support.data.bulk_tasks import add_tasks
from tests.support.network.remote_api import signed_in

SIZES = (10, 10_000, 100_000)
ROUNDS = 20
LOADS = 10
TO_OTHERS = 50
SCROLLED = 60
SCROLLED_PX = 2_000
VIEW = "/all?sort=title"

_BASELINE = """
<!doctype html><p id="number">0</p>
"""
_COUNT = """
() => addEventListener("keydown", () => {
    document.getElementById("number").textContent = Math.random();
})
"""
_OBSERVE = """
(() => {
    const seen = window.seen = { events: [], shift: 0, frames: [], rowsAt: undefined };
    new PerformanceObserver((list) => seen.events.push(...list.getEntries()
        .filter((each) => each.interactionId > 0).map((each) => each.duration)))
        .observe({ type: "event", durationThreshold: 16 });
    new PerformanceObserver((list) => list.getEntries().filter((each) => !each.hadRecentInput)
        .forEach((each) => seen.shift += each.value)).observe({ type: "layout-shift" });
    new MutationObserver(() => {
        if (seen.rowsAt === undefined && document.querySelector("[data-task]")) {
            seen.rowsAt = performance.now();
        }
    }).observe(document, { childList: true, subtree: true });
})()
"""
_PAINTED = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
_TAKEN = """
() => new Promise((done) => setTimeout(() => done(Math.max(0, ...seen.events.splice(0))), 60))
"""
_FRAMES = """
() => {
    let last = performance.now();
    const frame = (now) => {
        seen.frames.push(now - last);
        last = now;
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
}
"""
_PRESSED = """
() => addEventListener("keydown", (event) => {
    if (event.key === "Enter") seen.pressed = performance.timeOrigin + event.timeStamp;
}, { capture: true })
"""
_PAINTED_HERE = """
() => {
    seen.painted = new Map();
    // The page is rendered as a frame begins, so that a timer set there runs once it is painted.
    new MutationObserver(() => setTimeout(() =>
        document.querySelectorAll(".task-title").forEach(({ textContent: title }) =>
            seen.painted.has(title)
                || seen.painted.set(title, performance.timeOrigin + performance.now()))))
        .observe(document.getElementById("app"), { childList: true, subtree: true });
}
"""

Steps = Mapping[str, Callable[[Tab, int], None]]


def main() -> None:
    """Print what is waited for, in milliseconds."""
    with (
        running(RATE_LIMIT_USER_PER_S="0", RATE_LIMIT_AUTH_PER_MIN="0") as rig,
        a_chromium() as browser,
    ):
        baseline = _baseline_ms(browser)
        columns = [_of_size(browser, rig, size) for size in SIZES]
        told = _told_ms(browser, rig)
    rows: list[Row] = [("", *(f"{size:,} tasks" for size in SIZES))]
    rows.extend((name, *(_p50_p95(column[name]) for column in columns)) for name in columns[0])
    show(f"From a key to the next paint, p50 / p95 ms; baseline {_p50_p95(baseline)}", rows)
    show(
        "From Enter to the paint elsewhere, p50 / p95 ms",
        [(name, _p50_p95(ms)) for name, ms in told.items()],
    )


def _p50_p95(values: Sequence[float]) -> str:
    return f"{percentile(values, 50):.0f} / {percentile(values, 95):.0f}"


def _baseline_ms(browser: Browser) -> list[float]:
    page = browser.new_page()
    page.add_init_script(_OBSERVE)
    page.goto("data:text/html," + _BASELINE)
    page.evaluate(_COUNT)
    return [_latency_ms(page, lambda: page.keyboard.press("j")) for _ in range(ROUNDS)]


def _of_size(browser: Browser, rig: Rig, size: int) -> Mapping[str, Sequence[float]]:
    visitor = Visitor(browser, rig.system.url)
    visitor.context.add_init_script(_OBSERVE)
    user = signed_in(rig.system, "register", visitor.email)
    add_tasks(user.user_id, size)
    tab = visitor.logged_in(VIEW)
    page = tab.page
    loads = [_load_ms(page) for _ in range(LOADS)]
    tab.wait_until_live()
    page.evaluate(_FRAMES)
    _scroll(page)
    frames = page.evaluate("() => seen.frames.splice(0)")
    page.evaluate("() => scrollTo(0, 0)")
    page.keyboard.press("j")
    seen: dict[str, list[float]] = {name: [] for name in STEPS}
    for number in range(ROUNDS):
        for name, step in STEPS.items():
            seen[name].append(_latency_ms(page, lambda: step(tab, number)))  # noqa: B023
            expect(page.locator(".is-draft")).to_have_count(0)
    shift = page.evaluate("() => seen.shift")
    visitor.close()
    return {
        "to the first rows of a page": loads,
        "a frame while scrolling": frames,
        **seen,
        "layout shift × 1,000": [1_000 * shift],
    }


def _load_ms(page: Page) -> float:
    page.goto(VIEW)
    expect(page.locator("[data-task]").first).to_be_visible()
    return page.evaluate("() => seen.rowsAt")


def _scroll(page: Page) -> None:
    page.mouse.move(600, 400)
    for _ in range(SCROLLED):
        page.mouse.wheel(0, SCROLLED_PX)
        page.evaluate(_PAINTED)


def _latency_ms(page: Page, act: Callable[[], None]) -> float:
    page.evaluate(_TAKEN)
    act()
    page.evaluate(_PAINTED)
    return page.evaluate(_TAKEN)


def _open_the_box(tab: Tab, number: int) -> None:
    del number
    tab.page.keyboard.press("q")
    expect(tab.page.get_by_label("What is to be done")).to_be_focused()


def _add(tab: Tab, number: int) -> None:
    tab.page.keyboard.insert_text(f"A new one {number}")
    tab.page.keyboard.press("Enter")


STEPS: Steps = {
    "next (j)": lambda tab, _: tab.page.keyboard.press("j"),
    "complete (x)": lambda tab, _: tab.page.keyboard.press("x"),
    "undo (z)": lambda tab, _: tab.page.keyboard.press("z"),
    "open the box (q)": _open_the_box,
    "add (Enter)": _add,
}


def _told_ms(browser: Browser, rig: Rig) -> Mapping[str, Sequence[float]]:
    visitor = Visitor(browser, rig.system.url)
    visitor.context.add_init_script(_OBSERVE)
    writing = visitor.registered("/all")
    tab = visitor.tab("/all")
    another = visitor.elsewhere()
    another.context.add_init_script(_OBSERVE)
    reading = {"in another tab": tab, "in another browser": another.tab("/all")}
    for each in reading.values():
        each.wait_until_live()
        each.page.evaluate(_PAINTED_HERE)
    writing.page.evaluate(_PRESSED)
    took: dict[str, list[float]] = {name: [] for name in reading}
    for _ in range(TO_OTHERS):
        title = f"Told {secrets.token_hex(8)}"
        writing.add(title)
        pressed = writing.page.evaluate("() => seen.pressed")
        for name, each in reading.items():
            each.page.wait_for_function("(title) => seen.painted.has(title)", arg=title)
            painted = each.page.evaluate("(title) => seen.painted.get(title)", title)
            took[name].append(painted - pressed)
    another.close()
    visitor.close()
    return took


if __name__ == "__main__":
    main()
