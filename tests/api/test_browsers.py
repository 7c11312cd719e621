"""What a page in a browser may ask in a member's name: by real preflights, and in Chromium where there is one. There
the API's own page is looked at too.
"""

from __future__ import annotations

import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from guerdon.api.problem import KINDS
from guerdon.api.routes import ROUTES
from tests.api.conftest import Api, Shop, served, set_up
from tests.api.test_rewards import a_reward, give
from tests.conftest import Database

PAGE = "https://www.example.com"
OTHER = "https://evil.example.com"
OWN = [route for route in ROUTES if route.own]


@pytest.fixture
def shop(database: Database) -> Iterator[Shop]:
    with served(database, browser_origins=(PAGE,)) as url:
        api = Api(url)
        yield set_up(api)
        api.close()


def token(shop: Shop) -> str:
    return str(shop.api.post("/v1/member-tokens", {"member": shop.member})["token"])


def preflight(shop: Shop, path: str, method: str, origin: str = PAGE) -> Any:
    headers = {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": "authorization",
    }
    return shop.api.client.request("OPTIONS", path, headers=headers)


def cors(answer: Any) -> list[str]:
    return [name for name in answer.headers if name.startswith("access-control-")]


def test_a_named_page_is_let_in_where_member_tokens_open_and_nowhere_else(shop: Shop) -> None:
    for route in ROUTES:
        path = re.sub(r"\{[^}]+\}", "me", route.path)
        answer = preflight(shop, path, route.method)
        assert bool(cors(answer)) is route.own, (route.method, path)
        if route.own:
            assert answer.status_code == 204
            assert answer.headers["access-control-allow-origin"] == PAGE
            assert route.method in answer.headers["access-control-allow-methods"]
            assert "authorization" in answer.headers["access-control-allow-headers"]
            assert "access-control-allow-credentials" not in answer.headers
    assert len(OWN) >= 6


@pytest.mark.parametrize(
    "origin", [OTHER, f"{PAGE}.evil.example.com", f"{PAGE}:8443", "http://www.example.com", "null"]
)
def test_another_page_is_not(shop: Shop, origin: str) -> None:
    assert cors(preflight(shop, "/v1/members/me/rewards", "GET", origin)) == []
    own = shop.api.with_key(token(shop))
    assert cors(own.call("GET", "/v1/members/me/rewards", headers={"origin": origin})) == []


def test_no_page_is_unless_an_operator_says_so(database: Database) -> None:
    with served(database) as url:
        shop = set_up(Api(url))
        assert cors(preflight(shop, "/v1/members/me/rewards", "GET")) == []
        own = shop.api.with_key(token(shop))
        assert cors(own.call("GET", "/v1/members/me/rewards", headers={"origin": PAGE})) == []


def test_a_page_reads_what_it_asks_for_with_a_token_and_why_it_was_refused(shop: Shop) -> None:
    own = shop.api.with_key(token(shop))
    for key in (own, shop.api.with_key("gd_member_x.y")):
        answer = key.call("GET", "/v1/members/me/balances", headers={"origin": PAGE})
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["vary"] == "origin"
    assert own.call("GET", "/v1/members/me/balances", headers={"origin": PAGE}).status_code == 200


def test_a_page_that_holds_a_key_reads_nothing(shop: Shop) -> None:
    answer = shop.api.call("GET", f"/v1/members/{shop.member}/balances", headers={"origin": PAGE})
    assert answer.status_code == 200
    assert cors(answer) == []
    for path in ("/v1/members", "/v1/reward-lists", "/openapi.json", "/v1/claims"):
        assert cors(shop.api.call("GET", path, headers={"origin": PAGE})) == []
        assert cors(shop.api.with_key(token(shop)).call("GET", path, headers={"origin": PAGE})) == []


# -- in a browser -----------------------------------------------------------------------------------------------------

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_PAGE = """<!doctype html><title>A shop</title><pre id="said"></pre><script>
const api = "{api}", token = "{token}", key = "{key}", reward = "{reward}";
async function tried(method, path, bearer, body) {{
  try {{
    const answer = await fetch(api + path, {{
      method,
      headers: {{"authorization": "Bearer " + bearer, ...(body ? {{"content-type": "application/json"}} : {{}})}},
      body: body && JSON.stringify(body)}});
    return [answer.status, await answer.json()];
  }} catch (error) {{ return [0, String(error)]; }}
}}
(async () => {{
  const said = {{}};
  said.rewards = await tried("GET", "/v1/members/me/rewards", token);
  said.claim = await tried("POST", "/v1/members/me/claims", token, {{reward}});
  said.balances = await tried("GET", "/v1/members/me/balances", token);
  said.expired = await tried("GET", "/v1/members/me/balances", "gd_member_x.y");
  said.others = await tried("GET", "/v1/members/number:2/balances", token);
  said.members = await tried("GET", "/v1/members", token);
  said.key = await tried("GET", "/v1/members/me/rewards", key);
  said.claims = await tried("GET", "/v1/claims", key);
  said.openapi = await tried("GET", "/openapi.json", key);
  document.getElementById("said").textContent = JSON.stringify(said);
}})();
</script>"""


@contextmanager
def pages(folder: Path) -> Iterator[str]:
    """The origin of a shop's own pages."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any, **given: Any) -> None:
            super().__init__(*args, directory=str(folder), **given)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def drawn(page: str, profile: Path) -> str:
    """The page as HTML, after Chromium has run it."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
    assert _CHROMIUM is not None, "the test needs one"
    ran = subprocess.run(
        [_CHROMIUM, *flags, "--virtual-time-budget=20000", "--dump-dom", page],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return ran.stdout


def seen(page: str, profile: Path) -> dict[str, Any]:
    """What the page says it could read."""
    text = drawn(page, profile).partition('<pre id="said">')[2].partition("</pre>")[0]
    return json.loads(text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))  # type: ignore[no-any-return]


@pytest.mark.skipif(_CHROMIUM is None, reason="needs Chromium")
@pytest.mark.timeout(240)
@pytest.mark.parametrize("named", [True, False])
def test_a_page_in_chromium_claims_for_its_member_and_reads_nothing_else(
    database: Database, tmp_path: Path, named: bool
) -> None:
    (tmp_path / "pages").mkdir()
    with ExitStack() as stack:
        origin = stack.enter_context(pages(tmp_path / "pages"))
        url = stack.enter_context(served(database, browser_origins=(origin,) if named else (PAGE,)))
        shop = set_up(Api(url))
        give(shop, 45)
        shop.api.post("/v1/members", {"external_id": "C-2"})
        reward = a_reward(shop)
        page = _PAGE.format(api=url, token=token(shop), key=shop.api.key, reward=reward)
        (tmp_path / "pages" / "index.html").write_text(page)
        said = seen(f"{origin}/index.html", tmp_path / "profile")
        claims = shop.api.get("/v1/claims")["data"]
        shop.api.close()
    readable = {name: status for name, (status, _) in said.items() if status}
    if not named:
        assert readable == {}
        assert claims == []
        return
    assert readable == {"rewards": 200, "claim": 201, "balances": 200, "expired": 401, "others": 404}
    assert said["claim"][1]["balance"] == "35"
    assert said["balances"][1]["programs"][0]["regular"]["balance"] == "35"
    assert len(claims) == 1


@pytest.mark.skipif(_CHROMIUM is None, reason="needs Chromium")
@pytest.mark.timeout(240)
def test_the_docs_page_shows_every_operation_and_error_and_its_links_lead_somewhere(
    open_shop: Shop, tmp_path: Path
) -> None:
    html = drawn(f"{open_shop.api.url}/docs#insufficient_points", tmp_path / "profile")
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert {*(route.handler.__name__ for route in ROUTES), *map(str, KINDS)} <= set(ids)
    assert set(re.findall(r' href="#([^"]+)"', html)) <= set(ids)
    purchase = html.partition('<article id="create_purchase"')[2].partition("</article>")[0]
    assert '"spend_points": "50"' in purchase, "its example"
    assert "<summary><code>LineIn</code></summary>" in purchase, "what a line is can be opened"
    assert '<a href="#insufficient_points">' in purchase, "what can go wrong leads to the way out"
