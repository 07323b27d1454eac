"""What the product's signals were worth on real recordings: how often, what was held back, and what came after.

Everything here looks into the future of a recording and runs right of the pipeline; nothing of it is imported by the
package.
"""
