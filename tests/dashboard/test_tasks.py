"""Tasks in the dashboard: added, completed, deleted and brought back, by mouse and by keyboard."""

from collections.abc import Callable

from playwright.sync_api import Route, expect

from tests.support.browser.judging import unreadable
from tests.support.dashboard.visitor import Visitor
from tests.support.data.bulk_tasks import add_tasks
from tests.support.database.connection import database_of
from tests.support.network.remote_api import RemoteApi, signed_in
from tests.support.polling import eventually
from tests.support.processes.system import System

SCRIPT = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"


def test_a_task_is_written_in_ones_own_words_and_what_is_understood_is_marked(
    visitor: Visitor,
) -> None:
    tab = visitor.registered("/all")
    tab.page.keyboard.press("q")

    tab.page.keyboard.type("Pay rent tomorrow 9:00 every month #home !high remind 1h before")

    marks = tab.page.locator(".quick-marks mark")
    expect(marks).to_have_text(
        ["tomorrow", "9:00", "every month", "#home", "!high", "remind 1h before"]
    )
    understood = tab.page.locator(".quick-understood .chip")
    expect(understood).to_have_text(["Tomorrow 9:00 AM", "Repeats", "High", "home", "1 reminder"])
    tab.page.keyboard.press("Enter")
    row = tab.row("Pay rent")
    expect(row).to_contain_text("Tomorrow 9:00 AM")
    expect(row).to_contain_text("home")
    expect(row).to_have_attribute("data-priority", "high")


def test_the_box_has_the_focus_before_another_key_comes(visitor: Visitor) -> None:
    tab = visitor.registered("/all")

    focused = tab.page.evaluate(
        """async () => {
            const key = new KeyboardEvent("keydown", { key: "q", bubbles: true });
            document.body.dispatchEvent(key);
            // What is queued in this turn, and no more.
            await null;
            return document.activeElement.getAttribute("aria-label");
        }"""
    )

    assert focused == "What is to be done"


def test_a_box_opens_in_the_turn_in_which_another_was_closed(visitor: Visitor) -> None:
    tab = visitor.registered("/all")
    tab.page.keyboard.press("?")
    expect(tab.page.get_by_role("dialog")).to_be_visible()

    tab.page.evaluate(
        """() => {
            const press = (key) => document.activeElement.dispatchEvent(
                new KeyboardEvent("keydown", { key, bubbles: true }));
            document.querySelector("dialog button[aria-label=Close]").click();
            press("q");
        }"""
    )

    expect(tab.page.get_by_label("What is to be done")).to_be_focused()
    tab.page.keyboard.type("Typed at once")
    tab.page.keyboard.press("Enter")
    expect(tab.row("Typed at once")).to_be_visible()


def test_a_task_that_is_added_to_today_is_due_today(visitor: Visitor) -> None:
    tab = visitor.registered()

    tab.add("Buy milk")
    tab.add("Buy wine tomorrow")

    expect(tab.row("Buy milk")).to_be_visible()
    expect(tab.page.get_by_role("link", name="Today 1 due")).to_be_visible()
    tab.page.get_by_role("link", name="All tasks").first.click()
    expect(tab.page.locator("[data-task] .task-title")).to_have_text(["Buy wine", "Buy milk"])


def test_what_is_refused_is_said_and_stays_as_it_was_typed(visitor: Visitor) -> None:
    tab = visitor.registered("/all")
    tab.page.keyboard.press("q")
    box = tab.page.get_by_label("What is to be done")
    box.fill("tomorrow")

    tab.page.keyboard.press("Enter")

    expect(tab.page.get_by_role("alert")).to_contain_text("title")
    expect(box).to_have_value("tomorrow")
    expect(tab.page.locator("[data-task]")).to_have_count(0)


def test_a_completed_task_goes_and_comes_back_by_undo(visitor: Visitor) -> None:
    tab = visitor.registered()
    tab.add("Water the plants")

    tab.complete("Water the plants")
    expect(tab.row("Water the plants")).to_have_count(0)
    tab.undo()

    expect(tab.row("Water the plants")).to_have_count(1)
    tab.page.reload()
    expect(tab.row("Water the plants").get_by_role("checkbox")).not_to_be_checked()


def test_what_was_added_is_said_with_its_day_and_opened(visitor: Visitor) -> None:
    tab = visitor.registered()

    tab.add("Call mum tomorrow 9:00")

    expect(tab.page.get_by_role("status").last).to_contain_text(
        "Added “Call mum”, due Tomorrow 9:00 AM"
    )
    tab.page.get_by_role("button", name="Open").click()
    expect(tab.page.get_by_role("dialog", name="Task: Call mum")).to_be_visible()


def test_what_is_added_lies_above_what_was_before_however_late_that_is_answered(
    visitor: Visitor,
) -> None:
    tab = visitor.registered("/all")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    tab.page.route("**/tasks/quick", hold)
    tab.add("First")
    expect(tab.row("First")).to_have_count(1)
    tab.add("Second")
    expect(tab.row("Second")).to_have_count(1)
    while not held:
        tab.page.wait_for_timeout(50)

    held.pop().continue_()

    expect(tab.page.locator(".is-draft")).to_have_count(1)
    assert tab.titles == ["Second", "First"]
    while not held:
        tab.page.wait_for_timeout(50)
    held.pop().continue_()
    expect(tab.page.locator(".is-draft")).to_have_count(0)
    assert tab.titles == ["Second", "First"]


def test_a_deleted_task_goes_and_comes_back_by_undo(visitor: Visitor) -> None:
    tab = visitor.registered("/all")
    tab.add("Write a letter")
    tab.row("Write a letter").hover()

    tab.page.get_by_role("button", name="Delete: Write a letter").click()
    expect(tab.row("Write a letter")).to_have_count(0)
    tab.undo()

    expect(tab.row("Write a letter")).to_have_count(1)
    tab.page.reload()
    expect(tab.row("Write a letter")).to_have_count(1)


def test_everything_in_a_list_is_done_by_keyboard(visitor: Visitor) -> None:
    tab = visitor.registered("/all")
    for title in ("Third", "Second", "First"):
        tab.add(title)
    expect(tab.page.locator("[data-task]")).to_have_count(3)
    press = tab.page.keyboard.press

    press("j")
    press("j")
    press("x")
    expect(tab.row("Second")).to_have_count(0)
    press("z")
    expect(tab.row("Second")).to_have_count(1)
    press("j")
    press("k")
    press("Delete")
    expect(tab.page.locator("[data-task]")).to_have_count(2)
    press("z")
    expect(tab.page.locator("[data-task] .task-title")).to_have_text(["First", "Second", "Third"])
    press("g")
    press("t")
    expect(tab.page).to_have_title("Today · TaskFlow")
    press("?")
    expect(tab.page.get_by_role("dialog", name="Keys")).to_contain_text("Complete it")
    press("Escape")
    expect(tab.page.get_by_role("dialog")).to_have_count(0)


def test_letters_are_no_shortcuts_where_that_is_switched_off(
    a_visitor: Callable[..., Visitor],
) -> None:
    # Of what was scrolled out of a dialog, axe can't say what it lies on.
    tab = a_visitor(viewport={"width": 1280, "height": 1600}).registered("/all")
    tab.page.keyboard.press("?")
    assert unreadable(tab.page) == []
    tab.page.get_by_role("switch", name="Letters and signs are shortcuts").click()
    tab.page.keyboard.press("Escape")

    tab.page.keyboard.press("q")
    tab.page.keyboard.press("?")

    expect(tab.page.get_by_role("dialog")).to_have_count(0)
    tab.page.reload()
    tab.page.get_by_role("button", name="Keys").click()
    tab.page.get_by_role("switch", name="Letters and signs are shortcuts").click()
    tab.page.keyboard.press("Escape")
    tab.add("By keyboard again")
    expect(tab.row("By keyboard again")).to_be_visible()


def test_a_key_is_for_the_task_on_the_screen_whose_draft_was_just_made(visitor: Visitor) -> None:
    tab = visitor.registered("/all")
    asked: list[Route] = []

    def hold(route: Route) -> None:
        asked.append(route)

    tab.page.route("**/api/tasks/quick", hold)
    tab.add("Only")
    tab.page.keyboard.press("j")
    expect(tab.row("Only").get_by_role("link").first).to_be_focused()
    draft = tab.row("Only").get_attribute("data-task")

    # As if the next frame took its time, while the answer has come.
    tab.page.evaluate(
        "() => { window.held = []; window.frame = requestAnimationFrame;"
        " requestAnimationFrame = (work) => held.push(work); }"
    )
    asked[0].continue_()
    tab.page.evaluate(
        """async (draft) => {
            const { href } = document.querySelector('link[href$="/js/store.js"]');
            const { store } = await import(href);
            while (store.idOf(draft) === draft) {
                await new Promise((resolve) => setTimeout(resolve, 10));
            }
        }""",
        draft,
    )
    assert tab.row("Only").get_attribute("data-task") == draft
    tab.page.keyboard.press("x")
    tab.page.evaluate(
        "() => { requestAnimationFrame = frame; held.forEach((work) => frame(work)); }"
    )

    expect(tab.row("Only")).to_have_count(0)


def test_script_in_what_a_user_typed_is_shown_as_text(visitor: Visitor) -> None:
    tab = visitor.registered("/all")

    tab.add(f'{SCRIPT} #"<b>tag</b>"')

    expect(tab.row(SCRIPT)).to_be_visible()
    expect(tab.row(SCRIPT)).to_contain_text("<b>tag</b>")
    tab.complete(SCRIPT)
    expect(tab.page.get_by_role("status").last).to_contain_text("<img src=x")
    assert tab.page.title() == "All tasks · TaskFlow"
    assert tab.page.locator("main img, .toasts img").count() == 0


def test_a_long_list_has_few_rows_in_the_document(visitor: Visitor, system: System) -> None:
    user = signed_in(system, "register", visitor.email)
    with database_of(system):
        add_tasks(user.user_id, 500)
    api = RemoteApi(system, user)
    newest, oldest = (
        api.request("GET", f"tasks?sort={sort}&limit=1").json()["items"][0]["title"]
        for sort in ("-created_at", "created_at")
    )
    tab = visitor.logged_in("/all?status=any&sort=-created_at")
    expect(tab.row(newest)).to_be_visible()

    def scroll() -> None:
        tab.page.mouse.wheel(0, 3_000)
        assert tab.row(oldest).count()

    tab.page.mouse.move(600, 400)
    eventually(scroll, within_s=20)

    expect(tab.row(oldest)).to_be_visible()
    expect(tab.row(newest)).to_have_count(0)
    assert tab.page.locator("[data-task]").count() <= 150
