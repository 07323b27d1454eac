"""How far a venue's proofs can be trusted: a proof can rot as well as a book.

A book that fails its proof is one thing, and stays its own affair: it is lost and proven again. A proof that fails for
every book of the venue in a row says nothing of the books any more. It is dropped, visibly, and the next best goes on:
the chain of ids where there is one, else the whole images and the check that a book is not crossed.

=============  ====================================================  ==================================================
proof          dropped when, with no success of any symbol between   comes back when
=============  ====================================================  ==================================================
``checksum``   the last ``ABSENT`` messages had none; or ``NEEDED``  it has verified ``BACK`` times in a row, for
               checks failed, of two symbols at least if there are   ``BACK_NS`` at least (it is tried all the while)
               two
 (without ids) as many symbols failed, each at a diff: suspected.    while suspected: at its first success. A book that
               Convicted by whole images that fail, as no diff can   fails is still lost, for its diffs may be
               be missing in them                                    missing; an image that fails is taken
``sequence``   the first diffs after ``NEEDED`` images did not       the ids have followed each other as often and as
               follow, likewise. Books are silent then, unless a     long, or a book has lived for ``BACK_NS``
               checksum proves them
=============  ====================================================  ==================================================

Pure counting: what follows for the books is decided in ``session.py``.
"""

from __future__ import annotations

from msgspec import Struct

S = 1_000_000_000

CHECKSUM, SEQUENCE = "checksum", "sequence"
# So many messages without a checksum, and so many failures in a row, are no accident.
ABSENT, NEEDED = 10, 3
# Where a checksum is a message of its own it comes now and then: a sweep alone may be some dozens of changes long.
ABSENT_APART = 500
# So often and so long a dropped proof must hold before it is trusted again.
BACK, BACK_NS = 20, 60 * S
# After so many successes in a row, of all books or of one, a failure is that of another book, even while the proof is
# not trusted: else one wrong book would keep it from ever coming back.
WORKS = 10


class Turn(Struct, frozen=True):
    """A proof was ``lost`` or is back, and why."""

    proof: str
    lost: bool
    reason: str


class _Account(Struct):
    """One proof: failures since its last success while it is trusted, successes since its last failure while not."""

    failed: int = 0
    images: int = 0
    of: set[str] = set()
    absent: int = 0
    good: int = 0
    good_since_ns: int = 0
    good_of: dict[str, int] = {}

    def clear(self) -> None:
        self.failed = self.images = self.absent = self.good = self.good_since_ns = 0
        self.of = set()
        self.good_of = {}


class Proofs:
    """The proofs of one venue. ``lost`` says of each one that is not trusted why; ``turns`` is taken by the owner.
    ``apart``: the checksum is a message of its own.
    """

    def __init__(self, declared: tuple[str, ...], *, apart: bool = False) -> None:
        self.declared = declared
        self._absent_most = ABSENT_APART if apart else ABSENT
        self.lost: dict[str, str] = {}
        self.turns: list[Turn] = []
        self._extra: tuple[str, ...] = ()
        self._sum, self._chain = _Account(), _Account()
        self._absent: dict[str, int] = {}
        self._summed: set[str] = set()
        self._suspected = False
        self._fresh: set[str] = set()

    @property
    def standing(self) -> tuple[str, ...]:
        """The proofs that a book of this venue has now."""
        return tuple(proof for proof in (*self.declared, *self._extra) if proof not in self.lost)

    @property
    def expects_checksum(self) -> bool:
        """Whether a message without a checksum is worth a thought."""
        return (CHECKSUM in self.declared or CHECKSUM in self._extra) and CHECKSUM not in self.lost

    # -- the checksum --------------------------------------------------------------------------------------------------

    def began(self, symbol: str) -> None:
        """A whole image of this symbol was taken; no check has spoken for it yet."""
        self._fresh.add(symbol)
        self._absent.pop(symbol, None)

    def held(self, symbol: str, now_ns: int) -> None:
        """The checksum is that of our book."""
        account = self._sum
        self._summed.add(symbol)
        self._fresh.discard(symbol)
        self._absent.pop(symbol, None)
        if CHECKSUM in self.lost:
            if self._suspected:
                account.clear()
                self._back(CHECKSUM)
            else:
                account.good_of[symbol] = account.good_of.get(symbol, 0) + 1
                self._works(CHECKSUM, account, now_ns)
            return
        if account.failed or account.absent:
            account.clear()
        if CHECKSUM not in self.declared and CHECKSUM not in self._extra:
            self._extra = (CHECKSUM,)

    def failed(self, symbol: str, *, image: bool, chained: bool = True) -> bool:
        """The checksum is not that of our book: whether the book is to blame. ``image``: of a whole image; ``chained``:
        the message has ids of its own, so a missing diff would have been seen by them.
        """
        account = self._sum
        chained = chained and SEQUENCE in self.standing
        alone = not self._summed - {symbol}
        self._summed.add(symbol)
        fresh = image or symbol in self._fresh
        if CHECKSUM in self.lost:
            if self._suspected:
                self._suspected = not fresh
                return self._suspected
            account.good_of[symbol] = 0
            if account.good >= WORKS or max(account.good_of.values()) >= WORKS:
                return True
            account.good = account.good_since_ns = 0
            return False
        account.failed += 1
        account.of.add(symbol)
        account.images += image
        conclusive = account.failed if chained else account.images
        if conclusive >= NEEDED and (fresh if alone else len(account.of) > 1):
            self._suspected = False
        elif len(account.of) >= min(NEEDED, len(self._summed)) > 1 and not chained:
            self._suspected = True
        else:
            return True
        many = f"{len(account.of)} symbols" if len(account.of) > 1 else symbol
        self._drop(CHECKSUM, account, f"{account.failed} checks in a row failed, of {many}")
        # Of a single symbol the last failure may have been a wrong book after all: it begins anew once more, and a sum
        # that is sound then comes back by itself.
        return self._suspected or alone

    def missing(self, symbol: str) -> bool:
        """A diff came without a checksum: whether this book alone has lost its proof by now."""
        if not self.expects_checksum:
            return False
        account = self._sum
        account.absent += 1
        if account.absent >= self._absent_most:
            self._suspected = False
            self._drop(CHECKSUM, account, f"the last {account.absent} messages had none")
            return False
        mine = self._absent[symbol] = self._absent.get(symbol, 0) + 1
        return mine >= self._absent_most and SEQUENCE not in self.standing

    # -- the chain of ids ----------------------------------------------------------------------------------------------

    def broke(self, symbol: str, *, at_once: bool, others: int, others_live: bool) -> None:
        """The ids of a book did not follow. ``at_once``: the very first after its image; of ``others`` some live."""
        account = self._chain
        if SEQUENCE in self.lost:
            account.clear()
            return
        if others_live or not at_once:
            account.clear()
        if not at_once or others_live:
            return
        account.failed += 1
        account.of.add(symbol)
        if account.failed >= NEEDED and (len(account.of) > 1 or not others):
            self._drop(SEQUENCE, account, f"the first ids after {account.failed} images did not follow")

    def followed(self, symbol: str, now_ns: int) -> None:
        """The ids of a book followed each other although nobody asked them to; asked while they are not trusted."""
        self._works(SEQUENCE, self._chain, now_ns)

    def lives(self) -> None:
        """A book has lived by its ids for ``BACK_NS``."""
        self._chain.clear()
        if SEQUENCE in self.lost:
            self._back(SEQUENCE)

    # -- both ----------------------------------------------------------------------------------------------------------

    def _drop(self, proof: str, account: _Account, reason: str) -> None:
        account.clear()
        self.lost[proof] = reason
        self.turns.append(Turn(proof, True, reason))

    def _works(self, proof: str, account: _Account, now_ns: int) -> None:
        account.good += 1
        account.good_since_ns = account.good_since_ns or now_ns
        if account.good >= BACK and now_ns - account.good_since_ns >= BACK_NS:
            account.clear()
            self._back(proof)

    def _back(self, proof: str) -> None:
        del self.lost[proof]
        self.turns.append(Turn(proof, False, "it holds again"))
