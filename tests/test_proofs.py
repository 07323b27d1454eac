"""A proof that rots: noticed, told, replaced by the next best, and trusted again when it holds."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from conversation import Conversation, S
from hypothesis import given
from hypothesis import strategies as st
from scripted import Script, configured
from toy_venue import ToyCodec

from imbalanced import tape
from imbalanced.events import BookInvalid, BookValid, Notice
from imbalanced.jsontext import status_json
from imbalanced.pipeline import Pipeline
from imbalanced.proofs import ABSENT, ABSENT_APART, BACK, BACK_NS, CHECKSUM, NEEDED, SEQUENCE, WORKS, Proofs
from imbalanced.session import Session
from imbalanced.status import Status
from imbalanced.venues import VENUES
from imbalanced.venues.codec import Chain, Source

NAMES = ("AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT")
FOLDER = Path(__file__).resolve().parents[2] / "shared" / "captures"


# -- the judge by itself -----------------------------------------------------------------------------------------------


def turns(proofs: Proofs) -> list[tuple[str, bool]]:
    told = [(turn.proof, turn.lost) for turn in proofs.turns]
    proofs.turns.clear()
    return told


def chained() -> Proofs:
    proofs = Proofs(("sequence", "checksum"))
    for name in NAMES:
        proofs.began(name)
        proofs.held(name, 0)
    return proofs


def test_failures_of_several_symbols_in_a_row_are_the_proofs_own() -> None:
    proofs = chained()
    assert [proofs.failed(name, image=False) for name in NAMES[:NEEDED]] == [True] * (NEEDED - 1) + [False]
    assert turns(proofs) == [(CHECKSUM, True)]
    assert proofs.standing == (SEQUENCE,)
    assert not proofs.failed("DDDUSDT", image=False), "nobody is touched by a proof that is not trusted"


def test_one_symbol_that_fails_again_and_again_is_to_blame_itself() -> None:
    proofs = chained()
    for _ in range(20):
        proofs.began("AAAUSDT")
        assert proofs.failed("AAAUSDT", image=True)
    assert turns(proofs) == []


@given(st.lists(st.sampled_from([*NAMES, "ok"]), max_size=60))
def test_a_proof_is_lost_only_by_failures_in_a_row_of_two_symbols(story: list[str]) -> None:
    proofs = chained()
    row: list[str] = []
    for said in story:
        if said == "ok":
            proofs.held(NAMES[0], 0)
            row.clear()
            continue
        row.append(said)
        blamed = proofs.failed(said, image=False)
        assert blamed == (len(row) < NEEDED or len(set(row)) < 2)
        if not blamed:
            break


def test_without_ids_only_whole_images_can_say_that_a_checksum_rots() -> None:
    proofs = Proofs(("checksum",))
    for name in NAMES:
        proofs.held(name, 0)
    assert all(proofs.failed(name, image=False) for name in NAMES * 3), "a diff may be missing in each of them"
    assert turns(proofs) == [(CHECKSUM, True)], "but it is suspected, and that is told"
    assert not proofs.failed("AAAUSDT", image=True), "in an image no diff can be missing"
    assert not proofs.failed("BBBUSDT", image=False)
    assert proofs.standing == ()


def test_a_suspected_proof_that_works_once_is_trusted_at_once() -> None:
    proofs = Proofs(("checksum",))
    for name in NAMES:
        proofs.held(name, 0)
    for name in NAMES:
        proofs.failed(name, image=False)
    proofs.began("AAAUSDT")
    proofs.held("AAAUSDT", 1)
    assert turns(proofs) == [(CHECKSUM, True), (CHECKSUM, False)]
    assert proofs.failed("BBBUSDT", image=False)


def test_the_only_symbol_of_a_venue_convicts_its_proof_by_fresh_images() -> None:
    proofs = Proofs(("sequence", "checksum"))
    proofs.began("AAAUSDT")
    proofs.held("AAAUSDT", 0)
    assert [proofs.failed("AAAUSDT", image=False) for _ in range(NEEDED)] == [True] * NEEDED
    proofs.began("AAAUSDT")
    assert proofs.failed("AAAUSDT", image=True), "it may have been the book after all: that begins anew once more"
    assert "checksum" in proofs.lost
    assert not proofs.failed("AAAUSDT", image=True), "and is not asked again"


def test_a_dropped_proof_is_tried_and_trusted_after_a_while() -> None:
    proofs = chained()
    for name in NAMES[:NEEDED]:
        proofs.failed(name, image=False)
    turns(proofs)
    for i in range(BACK):
        proofs.held("AAAUSDT", 1 + i)
    assert turns(proofs) == [], "often, but not long"
    assert proofs.failed("BBBUSDT", image=False), "where it works by now, a failure is that of the book"
    proofs.held("AAAUSDT", BACK_NS)
    assert turns(proofs) == []
    proofs.held("AAAUSDT", BACK_NS + 1)
    assert turns(proofs) == [(CHECKSUM, False)]
    assert proofs.standing == (SEQUENCE, CHECKSUM)


def test_one_wrong_book_does_not_keep_a_proof_from_coming_back() -> None:
    proofs = chained()
    for name in NAMES[:NEEDED]:
        proofs.failed(name, image=False)
    for at in range(WORKS):
        assert not proofs.failed("AAAUSDT", image=False), "it may be the proof as well"
        proofs.held("BBBUSDT", at * S)
    assert proofs.failed("AAAUSDT", image=False), "it works for another: this book is wrong"
    for at in range(BACK + 1):
        proofs.held("BBBUSDT", WORKS * S + at * BACK_NS)
        assert proofs.failed("AAAUSDT", image=False)
    assert turns(proofs) == [(CHECKSUM, True), (CHECKSUM, False)]


def test_a_checksum_that_is_no_longer_sent_is_lost_and_books_stay() -> None:
    proofs = chained()
    assert not any(proofs.missing(NAMES[i % 4]) for i in range(ABSENT - 1))
    proofs.held("AAAUSDT", 0)
    assert not any(proofs.missing(NAMES[i % 4]) for i in range(ABSENT - 1)), "one that comes begins the count anew"
    assert turns(proofs) == []
    assert not proofs.missing("AAAUSDT")
    assert turns(proofs) == [(CHECKSUM, True)]
    assert not proofs.expects_checksum


def test_one_symbol_without_its_only_proof_is_lost() -> None:
    proofs = Proofs(("checksum",))
    told = []
    for _ in range(ABSENT):
        proofs.held("BBBUSDT", 0)
        told.append(proofs.missing("AAAUSDT"))
    assert told == [False] * (ABSENT - 1) + [True]
    assert turns(proofs) == []


def test_a_checksum_that_nobody_promised_counts_when_it_is_there() -> None:
    proofs = Proofs(("sequence",))
    assert not proofs.expects_checksum
    proofs.held("AAAUSDT", 0)
    assert proofs.standing == (SEQUENCE, CHECKSUM)


def test_ids_that_never_follow_an_image_are_no_proof() -> None:
    proofs = Proofs(("sequence",))
    for name in NAMES[:NEEDED]:
        proofs.broke(name, at_once=True, others=3, others_live=False)
    assert turns(proofs) == [(SEQUENCE, True)]
    proofs.lives()
    assert turns(proofs) == [(SEQUENCE, False)]
    for name in NAMES * 3:
        proofs.broke(name, at_once=False, others=3, others_live=False)
        proofs.broke(name, at_once=True, others=3, others_live=True)
    assert turns(proofs) == [], "a gap in a book that lived, or while others live, is that book's"


# -- in a session ------------------------------------------------------------------------------------------------------


class Market:
    """A toy venue with true checksums. ``lie``: the checksums are wrong; ``mute``: there are none."""

    def __init__(self, *names: str, chain: Chain = Chain.PLUS_ONE) -> None:
        self.said = Conversation(*names, codec=ToyCodec(Source.STREAM, chain=chain))
        self.said.instruments()
        self.said.open()
        self.lie = self.mute = False
        self.ids = dict.fromkeys(names, 0)
        self.sizes = dict.fromkeys(names, 0.0)
        self._next = count(1)

    def _say(self, word: str, name: str, total: float, **more: Any) -> list[str]:
        self.said.now_ns += S // 10
        summed = {} if self.mute else {"sum": total + (0.5 if self.lie else 0.0)}
        return self.said.ws(orjson.dumps({"say": word, "symbol": name, **more, **summed}))

    def image(self, name: str) -> list[str]:
        size = self.sizes[name] = float(next(self._next))
        last = self.ids[name]
        return self._say("image", name, size + 1, last=last, bids=[[100, size]], asks=[[101, 1.0]])

    def diff(self, name: str, *, skip: int = 0) -> list[str]:
        size = self.sizes[name] = float(next(self._next))
        self.ids[name] += 1 + skip
        at = self.ids[name]
        return self._say("diff", name, size + 1, first=at, last=at, bids=[[100, size]])

    def valid(self) -> list[str]:
        return [name for name, lane in self.said.session.lanes.items() if lane.valid]


def up(*names: str, **more: Any) -> Market:
    market = Market(*names, **more)
    for name in names:
        assert any("BookValid" in word for word in market.image(name))
        market.diff(name)
    return market


def test_checksums_that_fail_for_all_are_dropped_and_the_ids_go_on() -> None:
    market = up(*NAMES)
    market.lie = True
    assert market.diff("AAAUSDT") == ["BookInvalid AAA/USDT checksum_mismatch"]
    assert market.diff("BBBUSDT") == ["BookInvalid BBB/USDT checksum_mismatch"]
    assert market.diff("CCCUSDT") == ["Notice proof_lost", "BookChanged CCC/USDT 2"]
    (told, _) = market.said.events
    assert (told.channel, told.detail) == ("checksum", "3 checks in a row failed, of 3 symbols")
    assert market.diff("DDDUSDT") == ["BookChanged DDD/USDT 2"]
    assert market.image("AAAUSDT")[:2] == ["ResyncEnded AAA/USDT ok", "BookValid AAA/USDT 2"]
    assert market.said.events[1].checks == ("sequence",)
    assert market.image("BBBUSDT")[1] == "BookValid BBB/USDT 2"
    assert market.valid() == list(NAMES)
    assert market.diff("DDDUSDT", skip=1) == ["BookInvalid DDD/USDT sequence_gap"], "the next best proof is asked"


def test_without_ids_the_fresh_images_convict_it_and_all_books_come_back() -> None:
    market = up(*NAMES, chain=Chain.NONE)
    market.lie = True
    for name in NAMES[:2]:
        assert market.diff(name) == [f"BookInvalid {name[:3]}/USDT checksum_mismatch"]
    assert market.diff("CCCUSDT") == ["BookInvalid CCC/USDT checksum_mismatch", "Notice proof_lost"]
    assert market.image("AAAUSDT")[1] == "BookValid AAA/USDT 2", "the image that convicts it is taken"
    assert market.said.events[1].checks == ()
    for name in NAMES[1:3]:
        assert f"BookValid {name[:3]}/USDT 2" in market.image(name)
    assert [market.diff(name)[0].split()[0] for name in NAMES] == ["BookChanged"] * 4
    assert market.valid() == list(NAMES)


def test_the_drop_asks_at_once_for_the_books_that_were_lost_to_it() -> None:
    market = up(*NAMES)
    market.lie = True
    for _ in range(4):  # its budget is used up
        market.diff("AAAUSDT")
        market.image("AAAUSDT")
    market.diff("BBBUSDT")
    if CHECKSUM not in market.said.session.proofs.lost:
        market.diff("CCCUSDT")
    assert CHECKSUM in market.said.session.proofs.lost
    lane = market.said.session.lanes["AAAUSDT"]
    assert lane.fetching_since_ns or lane.wanted_ns <= market.said.now_ns


def test_checksums_that_stop_are_told_while_all_books_live() -> None:
    market = up(*NAMES)
    market.mute = True
    told = [market.diff(NAMES[i % 4]) for i in range(ABSENT)]
    assert [words[0].split()[0] for words in told] == ["BookChanged"] * (ABSENT - 1) + ["Notice"]
    assert "none" in market.said.events[0].detail
    assert market.valid() == list(NAMES)


def test_a_single_failure_is_that_books_alone() -> None:
    market = up(*NAMES)
    for _ in range(5):
        market.lie = True
        market.diff("AAAUSDT")
        market.lie = False
        assert [market.diff(name)[0].split()[0] for name in NAMES[1:]] == ["BookChanged"] * 3
        market.image("AAAUSDT")
        market.diff("AAAUSDT")
    assert market.said.session.proofs.lost == {}


def test_a_proof_that_holds_again_is_told_and_asked_again() -> None:
    market = up(*NAMES)
    market.lie = True
    for name in NAMES:
        market.diff(name)
    assert CHECKSUM in market.said.session.proofs.lost
    market.lie = False
    for name in NAMES[:2]:
        market.image(name)
    told: list[str] = []
    for i in range(int(BACK_NS / S * 10) + 1):
        told += market.diff(NAMES[i % 4])
    assert [word for word in told if "Notice" in word] == ["Notice proof_restored"]
    market.lie = True
    assert market.diff("AAAUSDT") == ["BookInvalid AAA/USDT checksum_mismatch"]


def test_ids_that_break_for_all_give_way_to_a_checksum_and_come_back() -> None:
    market = up(*NAMES)
    told: list[str] = []
    for name in NAMES:  # the venue counts by two from here on
        told += market.diff(name, skip=1)
        market.image(name)
    for name in NAMES:
        told += market.diff(name, skip=1)
        market.image(name)
    assert told.count("Notice proof_lost") == 1
    assert list(market.said.session.proofs.lost) == [SEQUENCE]
    assert [market.diff(name, skip=1) for name in NAMES] == [
        [f"BookChanged {name[:3]}/USDT {market.ids[name]}"] for name in NAMES
    ]
    market.lie = True
    assert market.diff("AAAUSDT")[0] == "BookInvalid AAA/USDT checksum_mismatch", "the checksum is the proof now"
    market.lie = False
    market.image("AAAUSDT")
    told = []
    for i in range(int(BACK_NS / S * 10) + 1):
        told += market.diff(NAMES[i % 4])
    assert "Notice proof_restored" in told
    assert market.diff("AAAUSDT", skip=1) == ["BookInvalid AAA/USDT sequence_gap"]


def test_ids_that_break_for_all_and_no_checksum_leave_the_books_silent() -> None:
    market = Market(*NAMES)
    market.said.session.proofs.declared = ("sequence",)
    market.mute = True
    market.said.session._summed = False
    told: list[str] = []
    for _ in range(2):
        for name in NAMES:
            market.image(name)
            told += market.diff(name, skip=1)
            market.said.wait(40)
    assert "Notice proof_lost" in told
    assert market.valid() == []


# -- what is made of it ------------------------------------------------------------------------------------------------


def test_signals_rest_on_the_proofs_that_stand() -> None:
    pipeline = Pipeline(configured())
    session = pipeline.sessions["binance"]
    frames = Script().up().frames
    for frame in frames:
        pipeline.feed(frame)
    (seat,) = pipeline.seats.values()
    assert seat.checks == ("sequence",)
    session.proofs.lost["sequence"] = "as a test"
    notice = Notice(venue="binance", what="proof_lost", recv_ns=1, channel="sequence")
    pipeline._notice(notice, frames[0], [])
    assert not seat.checks


@pytest.mark.parametrize(("chain", "ready"), [(Chain.PLUS_ONE, True), (Chain.NONE, False)])
def test_readiness_and_the_status_channel_tell_of_it(chain: Chain, ready: bool) -> None:
    market = up(*NAMES, chain=chain)
    market.mute = True
    for i in range(ABSENT):
        market.diff(NAMES[i % 4])
    text = orjson.loads(status_json(market.said.events[0]) or b"")
    assert text == {
        "event": "proof_lost",
        "venue": "toy",
        "instrument": None,
        "reason": "the last 10 messages had none",
        "since": market.said.now_ns,
        "proof": "checksum",
    }
    service: Any = SimpleNamespace(
        intake=SimpleNamespace(missing={}, pipeline=SimpleNamespace(sessions={"toy": market.said.session})),
        config=SimpleNamespace(ready_share=1.0),
        outlets=[],
    )
    is_ready, facts = Status(service).ready()
    why = ["toy: proof checksum lost: the last 10 messages had none"]
    assert (is_ready, facts["reasons"], facts["notes"]) == (ready, [] if ready else why, why if ready else [])


# -- on real frames ----------------------------------------------------------------------------------------------------


def tampered(name: str, spoil: Any) -> tuple[Session, list[Any]]:
    """A capture whose book frames from the middle on are spoiled; the events of its second half."""
    path = FOLDER / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is not there: the recordings do not come with the repository")
    frames = list(tape.read(path))
    venue = {one: name for name, venue in VENUES.items() for one in (name, *getattr(venue, "recorded_as", ()))}
    session = Session(VENUES[venue[frames[0].venue]].codec(venue[frames[0].venue]), discover=True)
    told: list[Any] = []
    for number, frame in enumerate(frames):
        late = number > len(frames) // 2
        data = spoil(frame.data) if late and frame.kind == "ws" else frame.data
        events = session.receive(type(frame)(frame.recv_ns, frame.venue, frame.conn, frame.kind, data, frame.url))
        told += events if late else []
    return session, told


def test_an_old_live_checksum_still_counts() -> None:
    _, told = tampered("okx-20220513-a", lambda data: data)
    session, _ = tampered("okx-20220513-a", lambda data: data)
    assert "checksum" in session.proofs.standing
    assert not [event for event in told if isinstance(event, Notice | BookInvalid)]


@pytest.mark.parametrize("name", ["okx-20220227", "okx-20220513-a"])
def test_checksums_that_turn_to_zero_on_real_frames(name: str) -> None:
    session, told = tampered(name, lambda data: re.sub(rb'"checksum":\s*-?\d+', b'"checksum":0', data))
    assert [event.what for event in told if isinstance(event, Notice)] == ["proof_lost"]
    assert not [event for event in told if isinstance(event, BookInvalid)]
    assert session.proofs.standing == ("sequence",)


def test_checksums_that_are_wrong_for_all_on_real_frames() -> None:
    """The ids of this recording are all equal, so a diff may be missing: who fails is lost, and the proof suspected."""
    session, told = tampered("okx-20220227", lambda data: re.sub(rb'"checksum":\s*-?\d+', b'"checksum":7', data))
    (notice,) = [event for event in told if isinstance(event, Notice)]
    assert (notice.what, notice.channel) == ("proof_lost", "checksum")
    lost = [event for event in told if isinstance(event, BookInvalid)]
    assert told.index(lost[NEEDED - 1]) < told.index(notice) < told.index(lost[NEEDED]), "at the third that fails"
    assert not [event for event in told if isinstance(event, BookValid)]
    assert sum(lane.valid for lane in session.lanes.values()) == len(session.lanes) - len(lost)


def test_prices_that_gain_a_digit_are_told_as_a_rotten_checksum() -> None:
    """No ids here and no checksum on images, so who fails is lost, and the venue's proof is suspected at the third."""

    def gain(data: bytes) -> bytes:
        return re.sub(rb'"(\d+\.\d+)"(?=,"\d+\.\d{8}")', rb'"\g<1>0"', data) if b"book-1000" in data else data

    _, told = tampered("kraken-20210417-a", gain)
    (notice,) = [event for event in told if isinstance(event, Notice)]
    assert (notice.what, notice.channel) == ("proof_lost", "checksum")
    lost = [event for event in told if isinstance(event, BookInvalid)]
    assert [told.index(event) for event in lost[:NEEDED]] <= [told.index(notice)] * NEEDED


def test_ids_that_are_all_equal_prove_nothing_so_a_diff_may_be_missing() -> None:
    proofs = Proofs(("sequence", "checksum"))
    for name in NAMES:
        proofs.held(name, 0)
    assert all(proofs.failed(name, image=False, chained=False) for name in NAMES * 3)


def test_a_checksum_that_is_a_message_of_its_own_may_be_long_in_coming() -> None:
    proofs = Proofs(("checksum",), apart=True)
    for name in NAMES:
        proofs.held(name, 0)
    assert not any(proofs.missing("AAAUSDT") for _ in range(ABSENT_APART - 1))
    assert proofs.standing == ("checksum",)
    proofs.missing("AAAUSDT")
    assert proofs.standing == (), "but not for ever"
