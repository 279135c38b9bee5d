"""Answers requests to one exported model from the C++ runtime.

A process of its own, as the runtime is to have XLA disabled and no Python TensorFlow:
pickled (signature, inputs) come in on stdin, ("ok", outputs) or ("error", code,
message) go out on stdout.
"""

import pickle
import sys

from tfp_flows.serving import c_api


def main():
    session = c_api.Session(sys.argv[1])
    while True:
        try:
            signature, inputs = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = ("ok", session.run(signature, inputs))
        except c_api.CApiError as error:
            answer = ("error", error.code, str(error))
        pickle.dump(answer, sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
