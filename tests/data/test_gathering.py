from ocrtune.data.gathering import MOST_KINDS, MOST_WORST, OTHER_MESSAGES, Gatherer
from ocrtune.records import Finding


def finding(number, message="m", code="c") -> Finding:
    return Finding(code=code, severity="note", message=message, where=f"p{number}")


def test_messages_that_hold_values_become_no_endless_list():
    gatherer = Gatherer()
    for number in range(1000):
        gatherer.add(finding(number, f"value {number}"), page=number)
    found = gatherer.findings()
    assert len(found) == MOST_KINDS + 1
    assert sum(each.count for each in found) == 1000
    assert found[-1].message == OTHER_MESSAGES
    assert found[-1].where.endswith(f"and {1000 - MOST_KINDS - 5} more")
    assert gatherer.worst() == {"c": tuple(range(MOST_WORST))}


def test_parts_gathered_apart_are_as_if_gathered_at_once():
    whole, joined = Gatherer(), Gatherer()
    for first in range(0, 300, 30):
        part = Gatherer()
        for number in range(30):
            one = finding(first + number, f"value {(first + number) % 70}", code=f"c{number % 2}")
            part.add(one, page=number)
            whole.add(one, page=first + number)
        joined.merge(part, offset=first)
    assert joined.findings() == whole.findings()
    assert joined.worst() == whole.worst()


def test_what_is_gathered_survives_json():
    gatherer = Gatherer()
    for number in range(9):
        gatherer.add(finding(number), page=number)
    again = Gatherer.from_dict(gatherer.as_dict())
    assert (again.findings(), again.worst()) == (gatherer.findings(), gatherer.worst())
