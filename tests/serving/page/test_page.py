import re
import shutil
import subprocess
import threading

import httpx
import numpy as np
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from pipelines.datasets import synthetic_clicks
from serving.page import LogBrowser, PageError, page_app
from serving.page.__main__ import main, open_run
from serving.page.event_attention import event_positions
from tests.small_log import learned_schema
from tf_interformer._keras import keras
from tf_interformer.errors import UserError
from tf_interformer.ranker import Ranker

CHROMIUM = next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)
CONFIG = {"num_layers": 1, "information_flow": "both", "interaction": "dot", "num_heads": 2}
SMALL = {"embedding": {"dim": 8}, "tower_units": (8,)}


@pytest.fixture(scope="module")
def log():
    return synthetic_clicks.simulate(400, seed=3)


@pytest.fixture(scope="module")
def ranker(log):
    keras.utils.set_random_seed(4)
    return Ranker(synthetic_clicks.schema().learn([log]), backbone_config=CONFIG, **SMALL)


@pytest.fixture(scope="module")
def browser(ranker, log):
    return LogBrowser(ranker, log)


@pytest.fixture(scope="module")
def address(browser):
    # Mounted, as in a server that has more to offer
    app = Starlette(routes=[Mount("/page", page_app(browser))])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off", ws="none"))
    socket = server.config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    yield f"http://127.0.0.1:{socket.getsockname()[1]}/page"
    server.should_exit = True
    thread.join()
    socket.close()


@pytest.fixture(scope="module")
def client(address):
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client


def test_scores_are_the_models_and_candidates_are_ranked(browser, ranker, log):
    user = browser.users()[0]["id"]
    shown = browser.rank(user)
    scores = [candidate["probability"] for candidate in shown["candidates"]]
    assert len(scores) == 10 and scores == sorted(scores, reverse=True)
    assert all(candidate["before"] == candidate["probability"] for candidate in shown["candidates"])
    # The last impression of the user is among them, and scores what the model gives the logged row.
    row = np.flatnonzero(log["user_id"].astype(str) == user)[-1:]
    expected = ranker.score({name: log[name][row] for name in ranker.schema.signature()})["is_click"][0]
    own = next(c for c in shown["candidates"] if c["features"]["item_id"] == log["item_id"][row[0]])
    assert own["probability"] == pytest.approx(expected, abs=1e-5)
    assert shown["features"]["region"] == log["region"][row[0]]


def test_a_removed_event_changes_scores_and_has_no_weight(browser, ranker, log):
    user = browser.users()[0]
    last = user["events"]["viewed"] - 1
    shown = browser.rank(user["id"], {"viewed": [last]})
    assert any(abs(c["probability"] - c["before"]) > 1e-5 for c in shown["candidates"])
    viewed = shown["histories"][0]
    assert [event["removed"] for event in viewed["events"]] == [False] * last + [True]
    for view in shown["attention"]:
        for weights in view["weights"]:
            assert weights["viewed"][last] is None and all(w > 0 for w in weights["viewed"][:last])
    row = np.flatnonzero(log["user_id"].astype(str) == user["id"])[-1:]
    raw = {name: log[name][row].copy() for name in ranker.schema.signature()}
    raw["viewed_length"] -= 1
    own = next(c for c in shown["candidates"] if c["features"]["item_id"] == log["item_id"][row[0]])
    assert own["probability"] == pytest.approx(ranker.score(raw)["is_click"][0], abs=1e-5)


def test_pooled_weights_add_up_to_one(browser):
    shown = browser.rank(browser.users()[1]["id"])
    pooled, sequence_arch = shown["attention"]
    assert "PMA" in pooled["explanation"] and "CLS tokens" in sequence_arch["explanation"]
    for weights in pooled["weights"]:
        longest = max(weights.values(), key=len)
        assert sum(longest) == pytest.approx(1, abs=1e-5)
    assert all(0 < sum(max(weights.values(), key=len)) < 1 for weights in sequence_arch["weights"])


def test_an_empty_history_and_a_model_without_attention_over_events(ranker, browser, log):
    user = browser.users()[0]
    everything = {name: list(range(count)) for name, count in user["events"].items()}
    shown = browser.rank(user["id"], everything)
    assert np.isfinite([candidate["probability"] for candidate in shown["candidates"]]).all()
    pooling = Ranker(ranker.schema, "hiformer", backbone_config={"num_layers": 1, "num_heads": 2}, **SMALL)
    assert LogBrowser(pooling, log).rank(user["id"])["attention"] == []


def test_of_a_longer_history_the_most_recent_events_are_shown(ranker, log):
    config = ranker.schema.get_config()
    config["sequences"][0]["max_length"] = 2
    short = LogBrowser(Ranker(config, backbone_config=CONFIG, **SMALL), log)
    user = next(user for user in short.users() if user["events"]["viewed"] == 2)
    row = np.flatnonzero(log["user_id"].astype(str) == user["id"])[-1]
    end = log["viewed_length"][row]
    shown = short.rank(user["id"])
    assert end > 2
    assert [event["fields"]["category"] for event in shown["histories"][0]["events"]] == log["viewed_category"][
        row, end - 2 : end
    ].tolist()
    assert all(c["before"] == c["probability"] for c in shown["candidates"])


def test_positions_follow_the_merge(ranker):
    assert event_positions(ranker, {"viewed": 3, "searched": 1}) == {"viewed": [0, 1, 2], "searched": [2]}
    oldest = Ranker(ranker.schema, backbone_config=CONFIG | {"sequence_alignment": "oldest"}, **SMALL)
    assert event_positions(oldest, {"viewed": 3, "searched": 1}) == {"viewed": [0, 1, 2], "searched": [0]}


def test_endpoints(client, browser):
    page = client.get("/")
    assert page.status_code == 200 and "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", page.text)
    users = client.get("/api/users").json()["users"]
    assert users == browser.users()
    answer = client.post("/api/rank", json={"user": users[0]["id"]})
    assert answer.json() == browser.rank(users[0]["id"])
    assert client.get("/api/users/", headers={"Host": "evil.example"}).status_code == 404


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", 'the request must be {"user": id'),
        ("[" * 90_000, 'the request must be {"user": id'),
        ('{"user": 4}', 'the request must be {"user": id'),
        ('{"user": "nobody"}', "there is no user 'nobody'"),
        ('{"user": "USER", "removed": [1]}', "'removed' must be"),
        ('{"user": "USER", "removed": {"bought": [0]}}', "there is no history 'bought'"),
        ('{"user": "USER", "removed": {"viewed": [99]}}', "numbered from 0. Received: 99"),
        ('{"user": "USER", "removed": {"viewed": ["0"]}}', "numbered from 0. Received: '0'"),
        ("x" * 200_000, "longer than"),
    ],
)
def test_a_wrong_request_is_told(client, browser, body, message):
    answer = client.post("/api/rank", content=body.replace("USER", browser.users()[0]["id"]))
    assert answer.status_code == 400 and message in answer.json()["error"]


def test_a_log_or_model_that_does_not_fit_is_told(ranker, log):
    with pytest.raises(PageError, match=r"the log lacks the columns \['price'\]"):
        LogBrowser(ranker, {name: value for name, value in log.items() if name != "price"})
    with pytest.raises(PageError, match=r"the model has the tasks \['is_click'\]\. Received: 'share'"):
        LogBrowser(ranker, log, task="share")
    small = Ranker(learned_schema(), backbone_config=CONFIG, **SMALL)
    with pytest.raises(PageError, match="schema 'small' names no `candidate` features"):
        LogBrowser(small, {})


def test_the_command_opens_a_run_of_the_simulated_shop(ranker, tmp_path, capsys):
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "holds no finished run" in capsys.readouterr().err
    ranker.save(str(tmp_path / "model.keras"))
    assert len(open_run(str(tmp_path)).users()) > 5
    other = tmp_path / "other"
    other.mkdir()
    Ranker(learned_schema(), backbone_config=CONFIG, **SMALL).save(str(other / "model.keras"))
    with pytest.raises(UserError, match="brings a log of synthetic_clicks only"):
        open_run(str(other))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: the page was not opened in a browser")
def test_the_page_in_a_browser(address, browser, tmp_path):
    def dom(query):
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
                   "--virtual-time-budget=10000", "--dump-dom", f"{address}/?{query}"]  # fmt: skip
        text = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        assert '<p id="error" role="alert"></p>' in text
        return text

    user = browser.users()[0]
    last = user["events"]["viewed"] - 1
    whole, changed = dom(f"user={user['id']}"), dom(f"user={user['id']}&without=viewed:{last}")
    candidates = browser.rank(user["id"])["candidates"]
    assert re.findall(r'item (\d+)<span class="facts"', whole) == [str(c["features"]["item_id"]) for c in candidates]
    assert whole.count('class="event"') == sum(user["events"].values())
    assert changed.count('class="event gone"') == 1 and changed.count(" points<") == len(candidates)
    probabilities = r'aria-pressed.*?class="fill" style="width: ([\d.]+)%'
    assert re.findall(probabilities, whole) != re.findall(probabilities, changed)
