"""What the hot path costs, against what the same work costs others: ratios within one run. See docs/performance.md."""
