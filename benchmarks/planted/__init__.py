"""Synthetic USD-M markets with planted events, and how well the product's signals find them.

An order-driven market (single orders with lifetimes, takers that excite each other, makers that react to queues), made
independently of the demo's simulator so that detectors cannot be right only about that one. The parameters are fixed in
`profiles.py` and `plants.py`; what each event truly is, is data in `effects.py`; the rules of counting are in
`score.py`. Thresholds are looked at on other seeds (`TUNING`) than those that are reported (`REPORTING`).
"""

REPORTING = range(1, 21)
TUNING = range(1001, 1021)
