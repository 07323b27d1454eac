"""Simulated exchanges that speak the venues' real wire protocols over real sockets on 127.0.0.1, faults on demand.

    running = await start(Options(venues=("binance_usdm",), seed=1))
    running.endpoints["binance_usdm"]     # {"rest": "http://127.0.0.1:P", "ws": "ws://127.0.0.1:P"}
    await running.stop()

`market.py`, `regimes.py`, `faults.py`, `venue.py`, `synthetic.py` and the venues are pure; `server.py` and `client.py`
own sockets and time. A venue is one file of the seam in `venue.py` and one line here.
"""

from imbalanced.sim import (
    binance,
    bitfinex,
    bitget,
    bybit,
    coinbase,
    deribit,
    gate,
    hyperliquid,
    kraken,
    kraken_futures,
    kucoin,
    okx,
)
from imbalanced.sim.server import Options, Running, run_cli, start
from imbalanced.sim.venue import Player, SimVenue

# Those whose recordings can be played as well.
PLAYERS: dict[str, Player] = {
    "binance": binance.BINANCE,
    "binance_us": binance.BINANCE_US,
    "binance_usdm": binance.BINANCE_USDM,
    "binance_coinm": binance.BINANCE_COINM,
}
SIMS: dict[str, SimVenue] = {
    **PLAYERS,
    "okx": okx.OKX,
    "kraken": kraken.KRAKEN,
    "bybit": bybit.BYBIT,
    "bybit_inverse": bybit.BYBIT_INVERSE,
    "bybit_spot": bybit.BYBIT_SPOT,
    "deribit": deribit.DERIBIT,
    "kucoin": kucoin.KUCOIN,
    "hyperliquid": hyperliquid.HYPERLIQUID,
    "bitfinex": bitfinex.BITFINEX,
    "bitfinex_orders": bitfinex.BITFINEX_ORDERS,
    "coinbase": coinbase.COINBASE,
    "gate": gate.GATE,
    "gate_futures": gate.GATE_FUTURES,
    "bitget": bitget.BITGET,
    "kraken_futures": kraken_futures.KRAKEN_FUTURES,
}
# Those that worlds draw (`worlds/`).
DRAWN = SIMS

__all__ = ["DRAWN", "PLAYERS", "SIMS", "Options", "Running", "run_cli", "start"]
