import json
import os
import re
from pathlib import Path

import pytest
from tiny_reviews import LINES, write_lines

pytest.importorskip("fastapi")

from fastapi.testclient import TestClient

from ocrtune.review import open_review
from ocrtune.review.guard import MOST_BYTES
from ocrtune.review.server import PAGE, create_app

HOME = "http://127.0.0.1:8765"
OURS = {"origin": HOME}


@pytest.fixture
def app(review):
    return create_app(review, "the-token")


@pytest.fixture
def client(app):
    browser = TestClient(app, base_url=HOME)
    assert browser.get("/?token=the-token").status_code == 200
    return browser


def save(client, number=1, version=0, key="key-0001", **what):
    body = {"key": key, "version": version, "text": "x", "state": "good"} | what
    return client.post(f"/api/items/{number}/save", json=body, headers=OURS)


def routes(app):
    paths = {
        path.replace("{number}", "1").replace("{place}", "0").replace("{name}", "main.js")
        for path in (
            "/",
            "/page/{name}",
            "/api/review",
            "/api/items",
            "/api/entries?number=1",
            "/api/items/{number}",
        )
    }
    return sorted(
        paths | {"/api/items/1/images/0", "/api/items/1/history", "/api/changes", "/docs", "/openapi.json"}
    )


def test_nothing_is_shown_without_the_token(app):
    stranger = TestClient(app, base_url=HOME)
    for path in routes(app):
        assert stranger.get(path).status_code == 403, path
    assert stranger.get("/?token=wrong").status_code == 403
    assert stranger.get("/api/review?token=the-token").status_code == 403
    for path in ("/api/items/1/save", "/api/items/1/undo", "/api/export"):
        assert stranger.post(path, json={}, headers=OURS).status_code == 403, path


def test_the_link_gives_a_cookie_that_no_script_and_no_other_site_gets(app):
    answer = TestClient(app, base_url=HOME).get("/?token=the-token")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    # The address with the token does not stay in the address bar.
    assert 'http-equiv="refresh" content="0; url=/"' in answer.text


def test_the_page_loads_nothing_from_elsewhere(client):
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    for file in PAGE.iterdir():
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), file
        assert client.get(f"/page/{file.name}").status_code == 200
    assert not re.search(r"<script(?![^>]*src=)| style=| on[a-z]+=", answer.text)


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:9999", "null", None])
def test_a_post_from_another_page_is_refused(client, review, origin):
    headers = {} if origin is None else {"origin": origin}
    body = {"key": "key-0001", "version": 0, "text": "x", "state": "good"}
    assert client.post("/api/items/1/save", json=body, headers=headers).status_code == 403
    assert review.store.read_history(1) == []


def test_a_form_cannot_post_and_a_fetch_across_sites_gets_nothing(client):
    headers = {**OURS, "content-type": "text/plain"}
    assert client.post("/api/items/1/save", content="{}", headers=headers).status_code == 415
    assert client.get("/api/items/1/images/0", headers={"sec-fetch-site": "cross-site"}).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8765", "[", ""])
def test_a_host_of_another_name_is_refused(client, host):
    assert client.get("/", headers={"host": host}).status_code == 400


def test_a_tunnel_to_another_port_works(client):
    assert client.get("/api/review", headers={"host": "localhost:9000"}).status_code == 200
    body = {"key": "key-0001", "version": 0, "text": "x", "state": "good"}
    headers = {"host": "localhost:9000", "origin": "http://localhost:9000"}
    assert client.post("/api/items/1/save", json=body, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/page/../server.py",
        "/page/%2e%2e/server.py",
        "/page/..%2fserver.py",
        "/page/%2fetc%2fpasswd",
        "/api/items/..%2f..%2fetc/images/0",
        "/api/items/1/images/..%2f..%2fmanifest.jsonl",
        "/api/items/1/images/-1",
        "/api/items/1/images/7",
        "/api/items/99/images/0",
    ],
)
def test_no_path_leads_to_other_files(client, path):
    answer = client.get(path)
    assert answer.status_code in {404, 422}
    assert "import" not in answer.text


@pytest.mark.parametrize(
    "name", ["../out.jsonl", "/tmp/out.jsonl", "a/b.jsonl", "out.txt", ".jsonl", "..\\x.jsonl"]
)
def test_an_export_goes_to_a_name_in_the_folder_of_the_review_only(client, review, name):
    answer = client.post("/api/export", json={"name": name}, headers=OURS)
    assert answer.status_code == 409
    assert "no name for a manifest" in answer.json()["error"]["message"]
    assert not list(review.folder.parent.rglob("out*"))


def test_an_export_by_the_button_finds_a_free_name(client, review):
    names = [client.post("/api/export", json={}, headers=OURS).json()["manifest"] for _ in range(2)]
    assert names == [str(review.folder / f"corrected-{number}.jsonl") for number in (1, 2)]


def test_an_image_comes_by_number_small_enough_and_may_be_kept(client):
    answer = client.get("/api/items/1/images/0")
    assert answer.headers["content-type"] == "image/png"
    assert "max-age" in answer.headers["cache-control"]
    assert "no-store" in client.get("/api/items/1").headers["cache-control"]


def test_two_browsers_on_one_item_get_a_409_with_the_others_text_and_lose_nothing(app, client, review):
    other = TestClient(app, base_url=HOME)
    other.get("/?token=the-token")
    assert save(client, text="hers", reviewer="Anna").status_code == 200
    answer = save(other, key="key-0002", text="his", reviewer="Ben", state="unsure")
    assert answer.status_code == 409
    item = answer.json()["item"]
    assert (item["text"], item["reviewer"], item["version"], item["state"]) == ("hers", "Anna", 1, "good")
    assert save(other, key="key-0003", version=1, text="both", reviewer="Ben").status_code == 200
    texts = [edit["after"] for edit in client.get("/api/items/1/history").json()]
    assert texts == ["both", "his", "hers"]


def test_the_same_save_again_is_answered_alike_and_done_once(client, review):
    first, second = save(client), save(client)
    assert (
        (first.status_code, first.json()["version"])
        == (second.status_code, second.json()["version"])
        == (200, 1)
    )
    assert len(review.store.read_history(1)) == 1


def test_undo_brings_text_and_state_back(client):
    save(client, text="oops")
    answer = client.post("/api/items/1/undo", json={"key": "key-0002", "version": 1}, headers=OURS)
    assert answer.json()["item"]["text"] == LINES["cut.png"][0]
    assert answer.json()["item"]["state"] == "open"
    again = client.post("/api/items/1/undo", json={"key": "key-0003", "version": 2}, headers=OURS)
    assert again.status_code == 409
    assert "nothing is left to undo" in again.json()["error"]["message"]


@pytest.mark.parametrize(
    "what",
    [
        {"text": "\ud800"},
        {"state": "perfect"},
        {"version": -1},
        {"key": "x"},
        {"extra": 1},
        {"text": "x" * 1_000_001},
    ],
)
def test_what_cannot_be_kept_is_refused_and_changes_nothing(client, review, what):
    body = {"key": "key-0001", "version": 0, "text": "x", "state": "good"} | what
    headers = {**OURS, "content-type": "application/json"}
    answer = client.post("/api/items/1/save", content=json.dumps(body), headers=headers)
    assert answer.status_code == 422
    assert review.store.read_history(1) == []


def test_a_body_without_end_is_refused_before_it_is_read(client):
    headers = {**OURS, "content-type": "application/json", "content-length": str(MOST_BYTES + 1)}
    assert client.post("/api/items/1/save", content=b"{", headers=headers).status_code == 413


def test_differences_are_those_of_the_text_as_typed(client):
    body = {"text": "gerous for use!", "readings": {"theirs": "gerous for use!"}}
    found = client.post("/api/items/1/differences", json=body, headers=OURS).json()
    assert found["reference"] == [["equal", "gerous for use", "gerous for use"], ["delete", "!", ""]]
    assert found["theirs"] == [["equal", "gerous for use!", "gerous for use!"]]
    assert found["prediction"][0] == ["equal", "gerous ", "gerous "]


def test_the_list_comes_as_numbers_and_rows_on_demand(client):
    assert client.get("/api/items").json()["numbers"] == [1, 2, 3, 4]
    assert client.get("/api/items?order=source").json()["numbers"] == [4, 1, 2, 3]
    assert client.get("/api/items?search=VICKS").json()["numbers"] == [4]
    rows = client.get("/api/entries?number=2&number=4").json()["items"]
    assert [(row["number"], row["name"], row["reason"]) for row in rows] == [
        (2, "odd.png", "CER 21%"),
        (4, "good.png", ""),
    ]


def test_a_folder_whose_name_is_not_utf8_is_reviewed_like_another(tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff lines"))
    try:
        write_lines(folder)
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    review = open_review(str(folder))
    with TestClient(create_app(review, "the-token"), base_url=HOME) as client:
        client.get("/?token=the-token")
        assert client.get("/api/review").json()["folder"].endswith("\N{REPLACEMENT CHARACTER} lines")
        assert client.get("/api/items/1").status_code == 200
        assert client.post("/api/export", json={}, headers=OURS).json()["pages"] == len(LINES)
        assert client.post("/api/export", json={"name": "manifest.jsonl"}, headers=OURS).status_code == 409
    review.store.close()
