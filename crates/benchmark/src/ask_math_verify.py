"""What math-verify says of pairs of answers.

Reads JSON lines of `expected` and `response`, and writes a line `true` or `false` for each.

    pip install math-verify
    python ask_math_verify.py < pairs.jsonl
"""

import json
import logging
import re
import sys

from math_verify import StringExtractionConfig, parse, verify

logging.disable(logging.CRITICAL)

CHOICES = StringExtractionConfig(strings=tuple("ABCDE"))


def in_marks(text):
    """The package looks for LaTeX between marks alone; an answer without any gets some."""
    has_marks = re.search(r"\$|\\boxed|\\\(|\\\[|answer|####", text, re.IGNORECASE)
    is_answer = len(text) < 120 and "\n" not in text
    return text if has_marks or not is_answer else f"${text}$"


def is_right(expected, response):
    if re.fullmatch(r"[A-E]", expected):
        return verify(parse(expected, [CHOICES]), parse(response, [CHOICES]))
    return verify(parse(in_marks(expected)), parse(in_marks(response)))


for line in sys.stdin:
    pair = json.loads(line)
    print("true" if is_right(pair["expected"], pair["response"]) else "false", flush=True)
