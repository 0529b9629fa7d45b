"""Runs inside the emulated Arm system, without lesionlite: classifies images with one artifact.

python3 arm_worker.py RUNTIME FILE IMAGES.npy OUT.npy; a line per image on standard output.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np


def tflite(path: str) -> Callable[[Any], Any]:
    """LiteRT with XNNPACK, one thread."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=1)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    result = interpreter.get_output_details()[0]["index"]

    def classify(image: Any) -> Any:
        interpreter.set_tensor(source, image[None])
        interpreter.invoke()
        return interpreter.get_tensor(result)[0]

    return classify


def onnx(path: str) -> Callable[[Any], Any]:
    """ONNX Runtime's CPU provider, one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {session.get_inputs()[0].name: image[None]})[0][0]


def main() -> None:
    """Classify all images."""
    runtime, path, images, out = sys.argv[1:]
    classify = {"tflite": tflite, "onnx": onnx}[runtime](path)
    answers = []
    for image in np.load(images):
        answers.append(np.array(classify(image)))
        print(len(answers), flush=True)
    np.save(out, np.stack(answers))


if __name__ == "__main__":
    main()
