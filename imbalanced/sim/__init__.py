"""Simulated exchanges that speak the venues' real wire protocols over real sockets on 127.0.0.1, faults on demand.

    running = await start(Options(venues=("binance_usdm",), seed=1))
    running.endpoints["binance_usdm"]     # {"rest": "http://127.0.0.1:P", "ws": "ws://127.0.0.1:P"}
    await running.stop()

`market.py`, `regimes.py`, `faults.py`, `venue.py`, `synthetic.py` and the venues are pure; `server.py` and `client.py`
own sockets and time. A venue is one file of the seam in `venue.py` and one line here.
"""

from imbalanced.sim import binance
from imbalanced.sim.server import Options, Running, run_cli, start
from imbalanced.sim.venue import SimVenue

SIMS: dict[str, SimVenue] = {
    "binance": binance.BINANCE,
    "binance_us": binance.BINANCE_US,
    "binance_usdm": binance.BINANCE_USDM,
    "binance_coinm": binance.BINANCE_COINM,
}

__all__ = ["SIMS", "Options", "Running", "run_cli", "start"]
