"""Mail is from TaskFlow, and its links lead to an address of ours."""

from collections.abc import Generator

import pytest

from tests.support.settings import changed_settings


@pytest.fixture(autouse=True, scope="module")
def _who_sends() -> Generator[None]:
    with changed_settings(
        public_url="https://app.example",
        link_secret="a secret for links of at least 32 characters",
        smtp_host="mail.example",
        smtp_from="TaskFlow <tasks@app.example>",
    ):
        yield
