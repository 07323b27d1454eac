"""The load: Binance spot depth frames as bytes, made before anything is measured.

The market walks in ticks; each frame moves levels near its touch (most of them near, some removed), so books stay
two-sided and uncrossed. Ids are contiguous from :data:`IMAGE_ID` on: the REST snapshot of the same market joins them.
"""

from __future__ import annotations

import random
from typing import Any

import orjson

IMAGE_ID = 1_000_000
IMAGE_LEVELS = 1000
T0_MS = 1_700_000_000_000
TICK_DECIMALS = 2
FRAME_MS = 100


def venue_symbol(number: int) -> str:
    """The wire name of the n-th symbol."""
    return f"B{number:03d}USDT"


def symbol(number: int) -> str:
    """The unified name of the n-th symbol."""
    return f"B{number:03d}/USDT"


def _px(ticks: int) -> str:
    whole, cents = divmod(ticks, 10**TICK_DECIMALS)
    return f"{whole}.{cents:0{TICK_DECIMALS}d}000000"


def _size(dice: random.Random) -> str:
    return f"{dice.expovariate(1.0) + 0.00001:.8f}"


def image(number: int, levels: int = IMAGE_LEVELS) -> bytes:
    """The REST snapshot of one symbol: every tick from the touch on."""
    dice = random.Random(f"image {number}")
    mid = _mid(number)
    bids = [[_px(mid - 1 - i), _size(dice)] for i in range(levels)]
    asks = [[_px(mid + i), _size(dice)] for i in range(levels)]
    return orjson.dumps({"lastUpdateId": IMAGE_ID, "bids": bids, "asks": asks})


def _mid(number: int) -> int:
    return 3_000_000 + 1000 * number


def depth_frames(number: int, count: int, levels: int = 30) -> list[bytes]:
    """``count`` frames of one symbol, each ``levels`` levels (both sides together), the first joining the snapshot."""
    dice = random.Random(f"frames {number} {levels}")
    mid = _mid(number)
    frames = []
    update_id = IMAGE_ID
    for i in range(count):
        step = dice.choice((-1, 0, 0, 1))
        mid += step
        bids, asks = _side(dice, mid - 1, -1, levels // 2), _side(dice, mid, 1, levels - levels // 2)
        if step > 0:
            asks[-1] = [_px(mid - 1), "0.00000000"]
        elif step < 0:
            bids[-1] = [_px(mid), "0.00000000"]
        data: dict[str, Any] = {
            "e": "depthUpdate",
            "E": T0_MS + FRAME_MS * i,
            "s": venue_symbol(number),
            "U": update_id + 1,
            "u": update_id + levels,
            "b": bids,
            "a": asks,
        }
        update_id += levels
        frames.append(orjson.dumps({"stream": f"{venue_symbol(number).lower()}@depth@100ms", "data": data}))
    return frames


def _side(dice: random.Random, touch: int, away: int, levels: int) -> list[list[str]]:
    """The touch always, the others at random distances, nearer ones more often; a quarter of them removed."""
    far = max(levels, 40)
    distances = {0}
    while len(distances) < levels:
        distances.add(min(int(dice.expovariate(1 / far)) + 1, 900 + levels))
    return [
        [_px(touch + away * d), "0.00000000" if d > 1 and dice.random() < 0.25 else _size(dice)]
        for d in sorted(distances)
    ]


def mixed_frames(symbols: int, count: int, levels: int = 30) -> list[bytes]:
    """``count`` frames of so many symbols in turn."""
    each = [depth_frames(number, -(-count // symbols), levels) for number in range(symbols)]
    return [each[i % symbols][i // symbols] for i in range(count)]


def instruments(count: int) -> bytes:
    """What the daemon is told of these symbols."""
    return orjson.dumps(
        [
            {
                "venue": "binance",
                "symbol": symbol(number),
                "venue_symbol": venue_symbol(number),
                "base": f"B{number:03d}",
                "quote": "USDT",
                "tick": "0.01",
            }
            for number in range(count)
        ]
    )
