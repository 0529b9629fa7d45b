"""ExecuTorch with XNNPACK, for apps that run PyTorch's own on-device runtime."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionlite.contract import Contract
from lesionlite.errors import LesionliteError
from lesionlite.export.format import Runner
from lesionlite.export.metadata import Metadata
from lesionlite.export.quiet import quiet
from lesionlite.export.source import Source, example
from lesionlite.train.data.images import Pixels

if TYPE_CHECKING:
    from torch import nn

_pool: int | None = None  # threads of the process's pool, once a network was opened
KEY = "contract"  # a constant method: an app calls it as it calls `forward`, and gets a string


def convert(source: Source, paths: dict[str, Path]) -> None:
    """Write `.pte` files; see `Toolchain.convert`."""
    from lesionlite.export.forms.attention import GROUPED
    from lesionlite.export.quantize.large_windows import in_pieces

    with quiet():
        for precision, path in paths.items():
            form = source.form(GROUPED, precision)
            in_pieces(form)
            path.write_bytes(to_pte(form, source.contract, source.metadata))


def to_pte(form: "nn.Module", contract: Contract, metadata: Metadata) -> bytes:
    """The bytes of a `.pte` file in which XNNPACK runs everything but the cast to float.

    Args:
        form: uint8 [1, S, S, 3] -> probabilities; float, or with its 8-bit arithmetic spelled out
            as pairs of quantize and dequantize.
        contract: goes inside, and gives the side.
        metadata: goes inside, as a JSON text.
    """
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    with torch.no_grad():
        program = torch.export.export(form.eval(), (example(contract),))
    _separate_dequantizers(program)
    _keep_padding_in_float(program)
    _softmax_in_three_axes(program)
    lowered = to_edge_transform_and_lower(
        program,
        partitioner=[XnnpackPartitioner()],
        # Otherwise `_to_dim_order_copy` turns pixels into floats, whose kernel is slower than that
        # of `_to_copy` (executorch 1.4.1; pytorch/executorch#12799, open): all in all,
        # mobilenetv4_conv_small took 1.18 times as long. This can go when both are as fast.
        compile_config=EdgeCompileConfig(_skip_dim_order=True),
        constant_methods={
            KEY: contract.to_json(),
            "labels": list(contract.labels),
            "metadata": json.dumps(metadata.given()),
        },
    )
    return bytes(lowered.to_executorch().buffer)


def _separate_dequantizers(program: Any) -> None:
    """Give every consumer of an 8-bit tensor a dequantize node of its own.

    XNNPACK's partitioner (executorch 1.4.1) takes `dequantize, dequantize -> op -> quantize` as one
    piece. If a dequantize node also feeds what leads to the other operand, as in x * sigmoid(x),
    that piece is left and entered again, and lowering fails with "Invalid partition, found
    dependency cycles". This can go when the partitioner copies the node itself.
    """
    import torch

    # Registers the operators; named here so that a float form does not need them beforehand.
    from torch.ao.quantization.fx import _decomposed  # noqa: F401

    dequantize = torch.ops.quantized_decomposed.dequantize_per_tensor.default
    graph = program.graph
    for node in [node for node in graph.nodes if node.target == dequantize]:
        for user in list(node.users)[1:]:
            with graph.inserting_before(user):
                user.replace_input_with(node, graph.node_copy(node))
    program.graph_module.recompile()


def _keep_padding_in_float(program: Any) -> None:
    """Multiply by 1 between a dequantize node and the padding before a float convolution.

    XNNPACK's backend (executorch 1.4.1, InsertPadQDQPass) puts a quantize and a dequantize node
    behind every padding of a dequantized tensor, also before a convolution in float. Lowering then
    fails with "Weight and Input should both be quantized". This can go when that pass looks at what
    reads the padding.
    """
    import torch

    library = torch.ops.quantized_decomposed
    graph = program.graph
    for node in list(graph.nodes):
        if not str(node.target).startswith(("aten.pad.", "aten.constant_pad_nd.")):
            continue
        quantized = node.args[0].target == library.dequantize_per_tensor.default
        readers = [reader for user in node.users for reader in user.all_input_nodes]
        if quantized and not any("quantize" in str(one.target) for one in (*readers, *node.users)):
            with graph.inserting_before(node):
                same = graph.call_function(torch.ops.aten.mul.Scalar, (node.args[0], 1.0))
                same.meta["val"] = node.args[0].meta["val"]
            node.replace_input_with(node.args[0], same)
    program.graph_module.recompile()


def _softmax_in_three_axes(program: Any) -> None:
    """Compute each softmax over the last of four axes on a tensor of three.

    XNNPACK's backend (executorch 1.4.1, ChannelsLastTaggedReshapePass) leaves what a convolution
    writes with channels last, also for a softmax, which XNNPACK computes over the last axis in
    memory: over the channels. This can go when that pass has softmax among its operations for NCHW.
    """
    import torch

    aten, graph = torch.ops.aten, program.graph
    for node in list(graph.nodes):
        value = node.meta.get("val")
        if node.target != aten.softmax.int or value.dim() != 4 or node.args[1] not in (-1, 3):
            continue
        source, shape = node.args[0], list(value.shape)
        with graph.inserting_before(node):
            flat = graph.call_function(aten.reshape.default, (source, [-1, *shape[2:]]))
        flat.meta["val"] = source.meta["val"].flatten(0, 1)
        node.args = (flat, -1, *node.args[2:])
        node.meta["val"] = value.flatten(0, 1)
        with graph.inserting_after(node):
            back = graph.call_function(aten.reshape.default, (node, shape))
        back.meta["val"] = value
        node.replace_all_uses_with(back, lambda user, back=back: user is not back)
    program.graph_module.recompile()


def read_contract(path: Path) -> tuple[str, Sequence[str]]:
    """The contract's JSON text and the labels out of the constant methods; nothing else is run."""
    with quiet():
        program = _open(path)
        return program.load_method(KEY).execute([])[0], program.load_method("labels").execute([])


def _open(path: Path) -> Any:
    from executorch.runtime import Runtime, Verification

    # The default check accepts files with altered bytes inside; this one refuses most of them.
    return Runtime.get().load_program(path, verification=Verification.InternalConsistency)


def size_pool(threads: int) -> None:
    """Set the size of the process's thread pool, before the first network is opened.

    Later calls cannot change it: a network that is open when the pool is replaced can wait forever
    for threads of the old pool (seen in executorch 1.4.1, which calls the function unsafe).

    Raises:
        LesionliteError: another number of threads is in use in this process.
    """
    global _pool
    from executorch.extension.pybindings import portable_lib

    if _pool is None:
        if portable_lib._threadpool_get_thread_count() != threads:
            portable_lib._unsafe_reset_threadpool(threads)
        _pool = threads
    if _pool != threads:
        raise LesionliteError(
            f"ExecuTorch runs with {_pool} threads in this process since the first .pte file was "
            f"opened; to use {threads}, open the file in a process of its own"
        )


def load(path: Path, threads: int) -> Runner:
    """Open with ExecuTorch's runtime and its XNNPACK delegate.

    Raises:
        LesionliteError: if another number of threads is in use in this process.
    """
    with quiet():
        from importlib.metadata import version

        import torch

        size_pool(threads)
        program = _open(path)
        method = program.load_method("forward")

    def classify(image: Pixels) -> Any:
        return method.execute([torch.from_numpy(np.ascontiguousarray(image[None]))])[0][0].numpy()

    return Runner(classify, f"executorch {version('executorch')}")
