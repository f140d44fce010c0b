"""Runs programs in real jq, as its Python package has it: lines {"program","input"} in, {"outputs","error"} or {"refused"} out.

Outputs are JSON texts that jq wrote itself: Python would round its numbers. Each program has a process of its own, for some crash jq.
"""

import json
import os
import sys

import jq

OUTPUTS_MAX = 1000


def said(case):
    try:
        program = jq.compile("(" + case["program"] + "\n) | tojson")
    except ValueError as error:
        return {"refused": str(error)}
    outputs = []
    try:
        for output in program.input_text(case["input"]):
            outputs.append(output)
            if len(outputs) == OUTPUTS_MAX:
                break
    except ValueError as error:
        return {"outputs": outputs, "error": str(error)}
    return {"outputs": outputs, "error": None}


for line in sys.stdin:
    child = os.fork()
    if child == 0:
        print(json.dumps(said(json.loads(line))), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        print(json.dumps({"refused": "crashes"}), flush=True)
