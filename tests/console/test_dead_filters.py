"""Dead letters by what their events are, and the ways that lead to them."""

import html
import re

from redis import Redis

from deskbell.testing import api_call
from shared.records.users import user_digest
from tests.conftest import WorkplaceFactory
from tests.console.conftest import ConsoleFactory
from tests.console.dead_pages import counted, ended, fields, figures, link
from tests.workers.failed_jobs import Unwilling, make_dead_letters, write_dead_letters
from workers.audit import AuditLog


def test_a_filter_by_user_node_and_session_means_these_and_writes_no_id_down(
    sign_in: ConsoleFactory, open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """In the list, the dry run, the run and the audit log; a row's action means those of its group that are shown."""
    events = [
        api_call("order_status", SystemClientUserID="user517", SystemSessionID="s1"),
        api_call("order_status", SystemClientUserID="user518", SystemSessionID="s1"),
        api_call("refund", SystemClientUserID="user517", SystemSessionID="s2"),
    ]
    make_dead_letters(open_workplace(Unwilling(queue="crm", name="crm.contact").jobs), queue="crm", events=events)
    write_dead_letters(redis, 3, queue="erp", name="erp-push")  # of events that cannot be read
    browser = sign_in("operator")

    page = counted(browser, "/dead?user=user517&node=order_status&session=s1&since=1h")
    row = re.findall(r'id="(replay-group-[0-9a-f]+)"', page.text)
    plan = counted(browser, link(page, row[0]))
    all_of_user = counted(browser, link(counted(browser, "/dead?user=user517"), "replay-all"))
    digest = counted(browser, f"/dead?user={user_digest('user517')}")
    run = ended(browser, browser.post("/dead/runs", data=fields(plan, "start")))

    assert "1 dead letters whose events have this node, user and session; of any there are 6" in page.text
    assert len(row) == 1
    assert figures(plan)["would be replayed"] == "1"
    assert figures(all_of_user)["would be replayed"] == "2"
    assert "All 2 that the filter lets through" in digest.text
    assert (figures(run)["replayed"], figures(run)["of the dry run"]) == ("1", "1")
    assert redis.lrange("rq:queue:crm", 0, -1) == [f"{events[0].id}-crm-contact".encode()]
    (entry,) = AuditLog(redis).latest(9)
    assert f"--node 'order_status' --session 's1' --user '{user_digest('user517')}'" in entry.selection
    assert not [key for key in redis.keys("deskbell:runs*") if "user517" in str(redis.dump(key))]
    assert "user517" not in plan.text + run.text


def test_each_count_of_dead_letters_leads_to_them(
    open_console: ConsoleFactory, open_workplace: WorkplaceFactory, redis: Redis
) -> None:
    """On Now, on Queues and on the page of a queue; also of a queue that has dead letters alone and no worker."""
    write_dead_letters(redis, 3, queue="old queue", name="erp-push")
    event = api_call("order_status", SystemClientUserID="user517")
    make_dead_letters(open_workplace(Unwilling(queue="crm", name="crm.contact").jobs), queue="crm", events=[event])
    browser = open_console()

    now, queues, one = (browser.get(path).text for path in ("/", "/queues", "/queues?name=old+queue"))
    call = browser.get(f"/call?id={event.id}").text
    filtered = counted(browser, "/dead?queue=old+queue").text

    for page in (now, queues, one):
        assert '<a class="bad" href="/dead?queue=old+queue">3</a>' in page
    assert '<a class="bad" href="/dead">4</a>' in now
    assert "no living worker reads the queue old queue" not in html.unescape(now)
    assert f'href="/dead/letter?id={event.id}-crm-contact">failed</a>' in call
    assert "All 3 that the filter lets through" in filtered
