"""What the hot path costs, against what the same work costs others: ratios measured in one run. See docs/performance.md."""
