"""What a server keeps from whom: each rule, and the ways around it that somebody would try."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

import motion
from motion.server import Limits, Role, Serving, Tokens, create_app, new_token, serve
from tests.conftest import OpenStore

Ask = Callable[..., httpx.Response]


@dataclass
class User:
    id: int
    name: str
    password: str
    api_key: str
    token_count: int
    mail: str


@motion.trigger(on="user.mail", sets="user.token_count")
def count(mail: str) -> int:
    if "@" not in mail:
        raise ValueError("no @, says /srv/private/rules.toml")
    return len(mail)


ROLES = (Role.READ, Role.WRITE, Role.ADMIN)
TEXTS, TOKENS = zip(*(new_token(role.name.lower(), role) for role in ROLES), strict=True)
TEXT = dict(zip(ROLES, TEXTS, strict=True))


@pytest.fixture(scope="module")
def store() -> Iterator[motion.Store]:
    """A store that is there for all tests of this module: none of them may leave it otherwise."""
    triggers = [count]
    with motion.create_store(
        "users", schemas={"user": User}, triggers=triggers, url=":memory:"
    ) as found:
        fill(found)
        yield found


def fill(store: motion.Store) -> None:
    store.set("user", id=1, name="Ada", password="hunter2", api_key="k-123", mail="ada@example.org")
    store.set("user", id=2, name="Bob", mail="nowhere")
    store.wait(timeout=30)


@pytest.fixture(scope="module")
def serving(store: motion.Store) -> Iterator[Serving]:
    with serve(store, port=0, tokens=Tokens(TOKENS)) as running:
        yield running


@pytest.fixture(scope="module")
def tokenless(store: motion.Store) -> Iterator[Serving]:
    with serve(store, port=0) as running:
        yield running


@pytest.fixture(scope="module")
def ask(serving: Serving) -> Iterator[Ask]:
    """Ask as somebody with a role: `ask("GET", "/v1/status", Role.READ)`."""
    with httpx.Client(base_url=serving.url, timeout=60) as client:

        def asked(method: str, path: str, role: Role | None = None, **given: Any) -> httpx.Response:
            headers = {"authorization": f"Bearer {TEXT[role]}"} if role else {}
            return client.request(
                method, path, headers={**headers, **given.pop("headers", {})}, **given
            )

        yield asked


# -- who --


def routes_of(router: Any) -> Iterator[Any]:
    """Give the routes of an application or a router, and of those that are part of it."""
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from routes_of(inner)
        elif hasattr(route, "dependant"):
            yield route


def needed(route: Any) -> int:
    """Return the role that a route asks for, 0 where it asks for none."""
    asked = [getattr(each.call, "needed", 0) for each in route.dependant.dependencies]
    return max(asked, default=0)


def test_every_route_asks_for_a_role_but_those_that_tell_nothing_of_the_store(
    store: motion.Store,
) -> None:
    app = create_app(store)
    found = list(routes_of(app))
    assert len(found) > 30
    open_routes = {route.path.partition("{")[0] for route in found if not needed(route)}
    for route in found:
        if "DELETE" in route.methods and route.path not in open_routes:
            assert needed(route) >= Role.WRITE, route.path
    assert open_routes == {"/health", "/ready", "/v1/session"} | set(app.state.open_paths)


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"authorization": "Bearer"}, {"authorization": "Bearer motion_wrong"}, {"authorization": TEXT[Role.ADMIN]},
        {"authorization": f"Basic {TEXT[Role.ADMIN]}"}, {"authorization": f"Bearer {TOKENS[2].sha256}"},
        {"authorization": f"Bearer {TEXT[Role.ADMIN]}x"}, {"cookie": "motion_token="}, {"cookie": "motion_token=x; a=b"},
        {"authorization": "Bearer \xff"}, {"x-forwarded-for": "127.0.0.1"}, {"cookie": "===;;;"},
    ],
    ids=[
        "nothing", "no token", "a wrong token", "no scheme", "another scheme", "a hash", "a token and more",
        "an empty cookie", "a wrong cookie", "bytes that are no text", "said to be local", "no cookie at all",
    ],
)  # fmt: skip
def test_without_a_token_nothing_is_told(ask: Ask, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    for path in ("/v1/status", "/v1/tables/user/row?id=1", "/metrics", "/openapi.json", "/v1", "/no/such"):  # fmt: skip
        answer = ask("GET", path, headers=dict(raw))
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "Ada" not in answer.text


@pytest.mark.parametrize("path", ["//v1/status", "/v1/../v1/status", "/health/../v1/status", "/V1/status", "/v1/status/", "/health/%2e%2e/v1/status", "/v1/session/../status"])  # fmt: skip
def test_no_spelling_of_a_path_goes_around_the_token(serving: Serving, path: str) -> None:
    import socket

    host, port = serving.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:  # a client would tidy the path up
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65_536), b""))
    assert answer.split()[1] in (b"401", b"307", b"404")
    assert b"triggers" not in answer


MAY: list[tuple[str, str, Any, Role]] = [
    ("GET", "/v1/status", None, Role.READ),
    ("GET", "/v1/tables/user/rows", None, Role.READ),
    ("POST", "/v1/search", {"key": "user.name", "text": "Ada"}, Role.READ),
    ("POST", "/v1/sql", {"query": "select 1"}, Role.READ),
    ("POST", "/v1/tables/user/row", {"name": "Eve"}, Role.WRITE),
    ("POST", "/v1/tables/user/rows", [{"name": "Eve"}], Role.WRITE),
    ("POST", "/v1/transaction", {"writes": []}, Role.WRITE),
    ("DELETE", "/v1/tables/user/row?id=2", None, Role.WRITE),
    ("POST", "/v1/retry", {}, Role.WRITE),
    ("POST", "/v1/tables/user/forget?id=2", None, Role.ADMIN),
    ("POST", "/v1/changes/2/cancel", None, Role.WRITE),
    ("POST", "/v1/backfill", {"trigger": "count"}, Role.ADMIN),
    ("POST", "/v1/drop", {}, Role.ADMIN),
]


def test_each_role_may_do_its_part_and_no_more(open_store: OpenStore) -> None:
    store = open_store("users", schemas={"user": User}, triggers=[count])
    fill(store)
    with serve(store, port=0, tokens=Tokens(TOKENS)) as running:
        for role in ROLES:
            headers = {"authorization": f"Bearer {TEXT[role]}"}
            with httpx.Client(base_url=running.url, headers=headers, timeout=60) as client:
                for method, path, body, needed in MAY:
                    answer = (
                        client.request(method, path, json=body)
                        if body is not None
                        else client.request(method, path)
                    )
                    assert answer.status_code == (200 if role >= needed else 403), (role, path)


def test_a_browser_gives_its_token_once_and_no_script_can_read_it(serving: Serving) -> None:
    with httpx.Client(base_url=serving.url, timeout=60) as browser:
        assert browser.get("/v1/session").json() == {"role": None}
        assert browser.post("/v1/session", json={"token": "motion_wrong"}).status_code == 401
        cookie = browser.post("/v1/session", json={"token": TEXT[Role.READ]}).headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert browser.get("/v1/session").json() == {"role": "read"}
        assert browser.get("/v1/status").status_code == 200
        browser.delete("/v1/session")
        assert browser.get("/v1/status").status_code == 401


def test_tokens_are_kept_as_hashes_that_only_their_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    text, token = new_token("website", Role.WRITE)
    Tokens().with_token(token).write(path)
    assert text not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = Tokens.read(path).found(text)
    assert found is not None
    assert found.role == "write"
    assert Tokens.read(path).without("website").found(text) is None
    path.write_text("[")
    with pytest.raises(motion.StoreUnavailable):  # a broken file never is one without tokens
        Tokens.read(path)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_others_are_not_served_without_tokens(store: motion.Store, host: str) -> None:
    with pytest.raises(motion.NotAllowed, match="motion token"):
        serve(store, host=host, port=0)
    with pytest.raises(motion.NotAllowed):
        create_app(store, hosts=None)


# -- from where --


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.", "[::1", "127.0.0.1@evil.example"])  # fmt: skip
def test_a_name_that_a_page_lets_resolve_to_this_machine_is_not_answered(
    tokenless: Serving, store: motion.Store, host: str
) -> None:
    with httpx.Client(base_url=tokenless.url, timeout=60) as client:
        answer = client.get("/v1/tables/user/rows", headers={"host": host})
        assert answer.status_code in (400, 421)
        assert "Ada" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://localhost:1"},
        {"sec-fetch-site": "cross-site"}, {"origin": "http://127.0.0.1.evil.example"}, {"origin": ""},
    ],
    ids=repr,
)  # fmt: skip
def test_a_page_of_another_site_can_do_nothing_with_the_reader_s_own_rights(
    tokenless: Serving, store: motion.Store, headers: dict[str, str]
) -> None:
    with httpx.Client(base_url=tokenless.url, timeout=60) as client:
        kind = {"content-type": "text/plain"}  # what a form of any page may send without asking
        body = json.dumps({"name": "Eve"})
        for given in (headers, {**headers, **kind}):
            answer = client.post("/v1/tables/user/row", content=body, headers=given)
            assert answer.status_code == 403
        assert client.post("/v1/tables/user/row", content=body, headers=kind).status_code == 400
        assert "access-control-allow-origin" not in answer.headers
        preflight = {"access-control-request-method": "POST", **headers}
        assert client.options("/v1/tables/user/row", headers=preflight).status_code in (403, 405)
    assert [row.name for row in store.rows(User)] == ["Ada", "Bob"]


def test_a_page_of_a_site_that_was_allowed_may_ask(store: motion.Store) -> None:
    site = "https://shop.example"
    with (
        serve(store, port=0, origins=[site]) as running,
        httpx.Client(base_url=running.url, timeout=60) as client,
    ):
        answer = client.get("/v1/status", headers={"origin": site})
        assert answer.headers["access-control-allow-origin"] == site
        other = client.get("/v1/status", headers={"origin": "https://evil.example"})
        assert other.status_code == 403


def test_a_page_of_a_site_that_was_allowed_asks_with_a_token(store: motion.Store) -> None:
    site, path = "https://shop.example", "/v1/tables/user/row?id=1"
    wanted = {"access-control-request-method": "GET", "access-control-request-headers": "authorization"}  # fmt: skip
    with (
        serve(store, port=0, origins=[site], tokens=Tokens(TOKENS)) as running,
        httpx.Client(base_url=running.url, timeout=60) as client,
    ):
        asked = client.options(path, headers={"origin": site, **wanted})
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, site)
        assert "Ada" not in asked.text
        refused = client.get(path, headers={"origin": site})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, site)
        for other in ({"origin": "https://evil.example"}, {}):
            assert client.options(path, headers={**other, **wanted}).status_code in (401, 403)
        own = {"origin": site, "authorization": f"Bearer {TEXT[Role.READ]}"}
        assert client.get(path, headers=own).json()["name"] == "Ada"


SECRET = "sk_live_1234"


@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        (ValueError(f"rejected\n{SECRET}"), "ValueError", "ValueError: rejected"),
        (
            ExceptionGroup("some", [ValueError(f"no\n{SECRET}: {SECRET}")]),
            "ExceptionGroup",
            "ExceptionGroup: some (1 sub-exception)",
        ),
        (
            type("Noted", (ValueError,), {"__notes__": [SECRET]})("rejected"),
            "Noted",
            "Noted: rejected",
        ),
    ],
    ids=["of two lines", "of a group", "with a note"],
)
def test_who_only_reads_is_told_the_kind_of_an_error_whatever_its_message_is_like(
    open_store: OpenStore, raised: Exception, kind: str, said: str
) -> None:
    @motion.trigger(on="user.mail", sets="user.token_count")
    def fail(mail: str) -> int:
        raise raised

    store = open_store(schemas={"user": User}, triggers=[fail])
    change = store.set("user", id=1, mail="a@b").wait(raise_errors=False)
    with (
        serve(store, port=0, tokens=Tokens(TOKENS)) as running,
        httpx.Client(base_url=running.url, timeout=60) as client,
    ):
        for path in ("/v1/errors", "/v1/problems", f"/v1/changes/{change.key}", f"/v1/changes/{change.key}/trace"):  # fmt: skip
            texts = {
                role: client.get(path, headers={"authorization": f"Bearer {TEXT[role]}"}).text
                for role in (Role.READ, Role.WRITE)
            }
            assert SECRET not in texts[Role.READ], path
            assert said not in texts[Role.READ], path
            assert kind in texts[Role.READ], path
            assert said in texts[Role.WRITE], path


@pytest.mark.parametrize("path", ["/health", "/v1/status", "/no/such", "/v1/tables/user/row?id=x"])
def test_every_answer_says_that_it_is_not_to_be_framed_or_guessed_at(ask: Ask, path: str) -> None:
    for role in (None, Role.READ):
        headers = ask("GET", path, role).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


# -- what --


def test_who_only_reads_sees_no_traceback_path_or_input(ask: Ask, store: motion.Store) -> None:
    change = store.errors()[0].change
    paths = ["/v1/errors", f"/v1/changes/{change}", f"/v1/changes/{change}/events?table=user&id=2&key=token_count"]  # fmt: skip
    for path in paths:
        for role, shown in (
            (Role.READ, ["ValueError"]),
            (Role.WRITE, ["ValueError", "rules.toml"]),
            (Role.ADMIN, ["ValueError", "rules.toml", "Traceback"]),
        ):
            text = ask("GET", path, role).text
            told = [
                each for each in ("ValueError", "rules.toml", "Traceback", __file__) if each in text
            ]
            assert told == [*shown, *([__file__] if role is Role.ADMIN else [])], (path, role)


SECRETS = ("hunter2", "k-123")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/tables/user/row?id=1", None),
        ("GET", "/v1/tables/user/row?id=1&keys=password", None),
        ("GET", "/v1/tables/user/rows", None),
        ("GET", "/v1/tables/user/value?id=1&key=password", None),
        ("GET", "/v1/tables/user/explain?id=1&key=password", None),
        ("GET", "/v1/tables/user/explain?id=1&key=api_key", None),
        ("POST", "/v1/sql", {"query": "select * from user"}),
        ("POST", "/v1/sql", {"query": "select password || api_key from user"}),
        ("POST", "/v1/sql", {"query": "select u.a from (select password as a from user) u"}),
        ("POST", "/v1/sql", {"query": "select password from motion_rows_user"}),
        ("POST", "/v1/sql", {"query": "select \"PASSWORD\" from main.motion_rows_user"}),
        ("POST", "/v1/sql", {"query": "select hex(password) from user__stored"}),
        ("POST", "/v1/sql", {"query": "with user as (select * from motion_rows_user) select * from user"}),
        ("POST", "/v1/sql", {"query": "select json_group_array(json_array(password, api_key)) from user"}),
        ("POST", "/v1/search", {"key": "user.password", "text": "hunter2"}),
        ("POST", "/v1/search", {"key": "user.name", "text": "Ada"}),
    ],
)  # fmt: skip
def test_who_only_reads_sees_no_key_that_is_named_like_a_secret(
    ask: Ask, method: str, path: str, body: Any
) -> None:
    given = {} if body is None else {"json": body}
    answer = ask(method, path, Role.READ, **given)
    assert answer.status_code in (200, 400, 403)
    assert not [each for each in SECRETS if each in answer.text or each.encode().hex().upper() in answer.text]  # fmt: skip
    if answer.status_code == 200 and "search" not in path:
        assert ask(method, path, Role.ADMIN, **given).text != answer.text


def test_who_only_reads_learns_nothing_of_a_secret_by_asking_whether_it_is_so(ask: Ask) -> None:
    guesses = [
        {"where": "password = 'hunter2'"}, {"where": '{"password": "hunter2"}'}, {"where": "password LIKE 'h%'"},
        {"where": "id IN (SELECT id FROM motion_rows_user WHERE password = 'hunter2')"},
        {"where": "EXISTS (SELECT 1 FROM user u WHERE u.password = 'hunter2')"},
        {"where": "0) OR (password = 'hunter2'"}, {"where": "id = 1 AND length(api_key) = 5"},
    ]  # fmt: skip
    for params in guesses:
        right = ask("GET", "/v1/tables/user/rows", Role.READ, params=params)
        assert right.status_code == 400 or right.json()["rows"] == [], params
        assert ask("GET", "/v1/tables/user/rows", Role.WRITE, params=params).json()["rows"]
    order = [
        [row["id"] for row in ask("GET", "/v1/tables/user/rows", Role.READ, params={"order_by": f"password {way}, id"}).json()["rows"]]
        for way in ("", "DESC")
    ]  # fmt: skip
    assert order[0] == order[1]
    body = {"key": "user.name", "text": "Ada", "where": "password = 'hunter2'"}
    assert ask("POST", "/v1/search", Role.READ, json=body).json()["hits"] == []
    assert len(ask("POST", "/v1/search", Role.WRITE, json=body).json()["hits"]) == 1


PLAIN: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [1, 2]),
    ({"id": 2}, [2]),
    ({"where": '{"name": "Bob"}'}, [2]),
    ({"where": '{"name": "Bob", "mail": "nowhere"}', "order_by": "name DESC"}, [2]),
    ({"order_by": "name DESC"}, [2, 1]),
    ({"order_by": "token_count, id"}, [2, 1]),  # rows without a value come first
    ({"limit": 1}, [1]),
    ({"after": "[1]"}, [2]),
]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("params", "rows"), PLAIN, ids=str)
def test_rows_by_keys_and_values_are_given_to_each_role_wherever_they_are(
    ask: Ask, role: Role, params: dict[str, Any], rows: list[int]
) -> None:
    answer = ask("GET", "/v1/tables/user/rows", role, params=params)
    assert [row["id"] for row in answer.json()["rows"]] == rows
    told = [each for each in SECRETS if each in answer.text]
    assert not told or role is not Role.READ


def test_a_search_among_rows_by_keys_and_values_is_answered_to_each_role(ask: Ask) -> None:
    for role in ROLES:
        for name, found in (("Ada", [1]), ("Bob", [])):
            body = {"key": "user.name", "text": "Ada", "where": {"name": name}}
            hits = ask("POST", "/v1/search", role, json=body).json()["hits"]
            assert [hit["id"] for hit in hits] == found


ASKS = [
    {"where": '{"password": "hunter2"}'}, {"where": '{"name": "Ada", "api_key": "k-123"}'},
    {"order_by": "password"}, {"order_by": "name, api_key DESC"}, {"where": "0 = 1) OR (password = 'hunter2'"},
    {"order_by": "(select 1 from motion_tasks)"}, {"order_by": "name; select 1"}, {"order_by": "name -- "},
    {"order_by": "pg_sleep(100)"}, {"where": '{"name": "x\' OR password = \'hunter2"}'},
    {"where": '{"name\\" IS NOT NULL OR \\"password": "hunter2"}'}, {"after": '["1) OR (1"]'},
]  # fmt: skip


@pytest.mark.parametrize("params", ASKS, ids=str)
def test_who_only_reads_learns_nothing_by_what_stands_beside_keys_and_values(
    ask: Ask, params: dict[str, Any]
) -> None:
    """Whether a row with a secret is found, or comes first, must not hang on the secret."""
    answer = ask("GET", "/v1/tables/user/rows", Role.READ, params=params)
    if answer.status_code == 200:
        found = [row["id"] for row in answer.json()["rows"]]
        assert found in ([], [1, 2])
        if "order_by" in params:
            way = f"{params['order_by']} DESC" if " " not in params["order_by"] else "id"
            other = ask("GET", "/v1/tables/user/rows", Role.READ, params={"order_by": way})
            assert [row["id"] for row in other.json()["rows"]] == found
        else:
            assert found == []
    else:
        assert answer.status_code in (400, 501)


@pytest.mark.parametrize("role", [Role.READ, Role.WRITE])
@pytest.mark.parametrize(
    "query",
    [
        "select error, inputs from motion_tasks", "select * from MOTION_TASKS", 'select * from "motion_triggers"',
        "with user as (select error from motion_tasks) select * from user", "select * from main.motion_labels",
        "select (select max(error) from motion_tasks)", "select file from pragma_database_list",
        "select count(*) from user where exists (select 1 from motion_tasks where error like '%rules%')",
    ],
)  # fmt: skip
def test_sql_of_others_than_admins_sees_nothing_that_the_store_keeps_for_itself(
    ask: Ask, role: Role, query: str
) -> None:
    answer = ask("POST", "/v1/sql", role, json={"query": query})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "SqlError")
    assert "rules.toml" not in answer.text


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "query",
    [
        "delete from user", "insert into user (id) values (9)", "update motion_rows_user set name = 'x'", "drop table user",
        "attach '/tmp/x' as x", "vacuum into '/tmp/x'", "pragma journal_mode = delete", "pragma query_only = off",
        "select load_extension('/tmp/x.so')", "select writefile('/tmp/x', 'x')", "select readfile('/etc/passwd')",
        "begin", "commit", "create temp table t (a)", "with x as (select 1) delete from user", "select 1; select 2",
        "explain delete from user", "reindex", "analyze", "select fts3_tokenizer('simple', x'00')",
    ],
)  # fmt: skip
def test_sql_only_reads_whoever_asks(ask: Ask, store: motion.Store, role: Role, query: str) -> None:
    answer = ask("POST", "/v1/sql", role, json={"query": query})
    assert answer.status_code == 400
    assert [row.name for row in store.rows(User)] == ["Ada", "Bob"]


ENDLESS = "with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c"


def test_sql_ends_in_time_wherever_it_is_written(store: motion.Store) -> None:
    limits = Limits(sql_seconds=0.2, wait_seconds=0.1)
    with (
        serve(store, port=0, limits=limits) as running,
        httpx.Client(base_url=running.url, timeout=60) as client,
    ):
        asked = [
            client.post("/v1/sql", json={"query": ENDLESS, "timeout": 3600}),
            client.get("/v1/tables/user/rows", params={"where": f"0 < ({ENDLESS})"}),
            client.get("/v1/tables/user/rows", params={"order_by": f"({ENDLESS})"}),
            client.post("/v1/search", json={"key": "user.name", "text": "Ada", "where": f"0 < ({ENDLESS})"}),
        ]  # fmt: skip
        assert [each.status_code for each in asked] == [408] * 4
        assert client.get("/health").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "select zeroblob(1000000000)", "select hex(zeroblob(60000000))", "select printf('%.*c', 900000000, 'x')",
        "with recursive c(x) as (select 1 union all select x + 1 from c limit 5000) select zeroblob(1000000) from c",
        f"select {'(' * 5000}1{')' * 5000}", f"select {'-' * 3000}1", "select '" + "x" * 200_000 + "'",
    ],
    ids=lambda each: each[:40],
)  # fmt: skip
def test_sql_takes_no_more_memory_than_allowed(ask: Ask, query: str) -> None:
    assert ask("POST", "/v1/sql", Role.READ, json={"query": query}).status_code == 400


def test_what_is_too_large_is_refused_before_it_is_read(store: motion.Store) -> None:
    limits = Limits(body_bytes=1_000, rows=5, k=5)
    with (
        serve(store, port=0, limits=limits) as running,
        httpx.Client(base_url=running.url, timeout=60) as client,
    ):
        body = json.dumps({"name": "x" * 2_000}).encode()
        kind = {"content-type": "application/json"}
        in_pieces = (body[start : start + 500] for start in range(0, len(body), 500))
        assert client.post("/v1/tables/user/row", content=body, headers=kind).status_code == 413
        assert (
            client.post("/v1/tables/user/row", content=in_pieces, headers=kind).status_code == 413
        )
        assert client.get("/v1/tables/user/rows", params={"limit": 6}).status_code == 400
        search = {"key": "user.name", "text": "Ada", "k": 6}
        assert client.post("/v1/search", json=search).status_code == 400
        many = "with recursive c(x) as (select 1 union all select x + 1 from c limit 100) select x from c"
        found = client.post("/v1/sql", json={"query": many, "limit": 99}).json()
        assert len(found["rows"]) == 5
    assert [row.name for row in store.rows(User)] == ["Ada", "Bob"]


def test_of_who_has_no_token_no_more_is_read_than_a_token(serving: Serving) -> None:
    body = json.dumps({"token": "x" * 100_000}).encode()
    kind = {"content-type": "application/json"}
    with httpx.Client(base_url=serving.url, timeout=60) as client:
        for content in (body, iter((body[:50_000], body[50_000:]))):
            answer = client.post("/v1/session", content=content, headers=kind)
            assert (answer.status_code, answer.json()["error"]["type"]) == (413, "TooLarge")
        assert client.post("/v1/session", json={"token": "x"}).status_code == 401


def test_deeply_nested_json_is_refused(ask: Ask) -> None:
    for body in ("[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000):
        kind = {"content-type": "application/json"}
        answer = ask("POST", "/v1/tables/user/row", Role.WRITE, content=body, headers=kind)
        assert answer.status_code == 400


def test_a_client_that_asks_too_often_waits_and_others_do_not(store: motion.Store) -> None:
    tokens = Tokens(TOKENS)
    with (
        serve(store, port=0, tokens=tokens, limits=Limits(rate="6/min")) as running,
        httpx.Client(base_url=running.url, timeout=60) as client,
    ):
        headers = [{"authorization": f"Bearer {text}"} for text in TEXTS]
        assert client.get("/v1", headers=headers[0]).status_code == 200
        answer = client.get("/v1", headers=headers[0])
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) <= 10
        assert client.get("/v1", headers=headers[1]).status_code == 200
        assert client.get("/health").status_code == 200


def test_no_more_streams_are_open_than_allowed(open_store: OpenStore) -> None:
    store = open_store("users", schemas={"user": User}, triggers=[count], run=False)
    change = store.set("user", id=1, mail="a@b")
    path = f"/v1/changes/{change.key}/events?table=user&id=1&key=token_count"
    with (
        serve(store, port=0, limits=Limits(streams=1)) as running,
        httpx.Client(base_url=running.url, timeout=60) as client,
    ):
        with client.stream("GET", path) as first:
            lines = first.iter_lines()  # to let go of them is to hang up
            assert next(lines) == ": motion"
            assert client.get(path).status_code == 503
        while client.get("/v1").json()["streams"]:  # it ends when its reader is gone
            pass
        with client.stream("GET", path) as again:
            assert again.status_code == 200


def test_an_error_of_the_server_s_own_tells_nothing(store: motion.Store) -> None:
    app = create_app(store)

    @app.get("/health/broken")
    def broken() -> None:
        raise RuntimeError("the disk at /srv/private is on fire")

    with (
        serve(store, port=0, app=app) as running,
        httpx.Client(base_url=running.url, timeout=60) as client,
    ):
        answer = client.get("/health/broken")
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "InternalError"
    assert "/srv" not in answer.text


def test_a_port_that_is_taken_is_told_as_such() -> None:
    schemas = {"user": User}
    with (
        motion.create_store("s", schemas=schemas, url=":memory:") as store,
        serve(store, port=0) as at,
    ):
        port = int(at.url.rpartition(":")[2])
        with pytest.raises(
            motion.InvalidArgument, match=f"free port .* was given .*:{port}, where nothing"
        ):
            serve(store, port=port)
