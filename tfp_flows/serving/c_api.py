"""TensorFlow's C++ runtime through its C API, without TensorFlow's Python.

It loads the libraries of the installed wheel with ctypes and runs a SavedModel as TF
Serving does: `TF_LoadSessionFromSavedModel`, then `TF_SessionRun` on the tensor names
of a signature, with XLA compilation disabled. What Python's own loader forgives (wrong
shapes, variables restored into the wrong place) fails here as on a server.

References:
  https://github.com/tensorflow/tensorflow/blob/master/tensorflow/c/c_api.h
"""

import contextlib
import ctypes
import functools
import importlib.util
import os
import pathlib
import sys
from collections.abc import Mapping

import numpy as np

from tfp_flows.serving import meta_graph

INVALID_ARGUMENT = 3

# TF_DataType -> numpy.
_DTYPES = {
    1: np.dtype(np.float32),
    2: np.dtype(np.float64),
    3: np.dtype(np.int32),
    4: np.dtype(np.uint8),
    9: np.dtype(np.int64),
    10: np.dtype(np.bool_),
}
# ConfigProto{device_count {key: "GPU" value: 0}}: the process that exports may hold the
# whole accelerator, and the gate judges the graph, not the device.
_CPU_ONLY = b"\x0a\x07\x0a\x03GPU\x10\x00"


class CApiError(RuntimeError):
    """An error of the C++ runtime; `code` is the status code (3: invalid argument)."""

    def __init__(self, code: int, message: str):
        super().__init__(f"code {code}: {message}")
        self.code = code


class _Buffer(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    ]


class _Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class Session:
    """A SavedModel in the C++ runtime.

    Attributes:
      signatures: name -> `meta_graph.Signature`, read from the loaded MetaGraphDef.
      meta_graph: the serialized MetaGraphDef itself.

    Args:
      directory: that holds `saved_model.pb`.

    Raises:
      CApiError: if the runtime cannot load it.
      OSError: if no TensorFlow library is installed beside this Python, or
        TensorFlow's Python was imported by this process before.

    Examples:
      >>> session = Session("served/digits/1")  # doctest: +SKIP
      >>> session.run("log_prob", {"x": x})["log_prob"]  # doctest: +SKIP
    """

    def __init__(self, directory: str | os.PathLike):
        with _quiet():
            self._library = _load_library()
            self._graph = self._library.TF_NewGraph()
            self._session, self.meta_graph = self._load(os.fspath(directory))
        self.signatures = meta_graph.signatures(self.meta_graph)

    def _load(self, directory):
        library = self._library
        options = library.TF_NewSessionOptions()
        buffer = library.TF_NewBuffer()
        tags = (ctypes.c_char_p * 1)(b"serve")
        try:
            with _Status(library) as status:
                library.TF_SetConfig(options, _CPU_ONLY, len(_CPU_ONLY), status)
            with _Status(library) as status:
                session = library.TF_LoadSessionFromSavedModel(
                    options,
                    None,
                    directory.encode(),
                    tags,
                    1,
                    self._graph,
                    buffer,
                    status,
                )
            contents = buffer.contents
            return session, ctypes.string_at(contents.data, contents.length)
        finally:
            library.TF_DeleteBuffer(buffer)
            library.TF_DeleteSessionOptions(options)

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Runs a signature on a batch.

        Args:
          signature: its name.
          inputs: every input by name; converted to the signature's dtypes, never
            reshaped.

        Returns:
          Every output by name.

        Raises:
          ValueError: if the signature or its set of inputs is another one.
          CApiError: if the run fails; `code` 3 means that a shape is wrong.
        """
        definition = self._definition(signature, inputs)
        feeds = definition.inputs
        outputs = definition.outputs
        sources = (_Output * len(feeds))(*[self._output(t) for t in feeds.values()])
        fetches = (_Output * len(outputs))(*[self._output(t) for t in outputs.values()])
        values = (ctypes.c_void_p * len(feeds))()
        results = (ctypes.c_void_p * len(outputs))()
        try:
            for i, (name, info) in enumerate(feeds.items()):
                values[i] = self._to_tensor(inputs[name], info)
            with _Status(self._library) as status:
                self._library.TF_SessionRun(
                    self._session,
                    None,
                    sources,
                    values,
                    len(feeds),
                    fetches,
                    results,
                    len(outputs),
                    None,
                    0,
                    None,
                    status,
                )
            return {k: self._to_array(t) for k, t in zip(outputs, results, strict=True)}
        finally:
            for tensor in [*values, *results]:
                if tensor:
                    self._library.TF_DeleteTensor(tensor)

    def close(self) -> None:
        """Frees the session and its graph; it cannot run afterwards."""
        if self._session is None:
            return
        for free in ("TF_CloseSession", "TF_DeleteSession"):
            with _Status(self._library) as status:
                getattr(self._library, free)(self._session, status)
        self._library.TF_DeleteGraph(self._graph)
        self._session = None

    def _definition(self, signature, inputs):
        if self._session is None:
            raise ValueError("This session is closed. Make a new Session.")
        if signature not in self.signatures:
            raise ValueError(
                f"The model has no signature {signature!r}, but "
                f"{', '.join(sorted(self.signatures))}."
            )
        definition = self.signatures[signature]
        if set(inputs) != set(definition.inputs):
            raise ValueError(
                f"Signature {signature!r} takes exactly the inputs "
                f"{sorted(definition.inputs)}, got {sorted(inputs)}."
            )
        return definition

    def _output(self, info):
        name, _, index = info.name.partition(":")
        operation = self._library.TF_GraphOperationByName(self._graph, name.encode())
        if not operation:
            raise ValueError(f"The graph has no operation {name!r}: export again.")
        return _Output(operation, int(index or 0))

    def _to_tensor(self, value, info):
        array = np.ascontiguousarray(value, _dtype(info.dtype, info.name))
        # ascontiguousarray turns a scalar into a vector, which would hide a bad shape.
        array = array.reshape(np.shape(value))
        dims = (ctypes.c_int64 * array.ndim)(*array.shape)
        tensor = self._library.TF_AllocateTensor(
            info.dtype, dims, array.ndim, array.nbytes
        )
        if array.nbytes:
            target = self._library.TF_TensorData(tensor)
            ctypes.memmove(target, array.ctypes.data, array.nbytes)
        return tensor

    def _to_array(self, tensor):
        library = self._library
        dims = range(library.TF_NumDims(tensor))
        shape = [library.TF_Dim(tensor, i) for i in dims]
        dtype = _dtype(library.TF_TensorType(tensor), "an output")
        size = library.TF_TensorByteSize(tensor)
        data = ctypes.string_at(library.TF_TensorData(tensor), size) if size else b""
        return np.frombuffer(data, dtype).reshape(shape).copy()


def dtype_of(info: meta_graph.TensorInfo) -> np.dtype:
    """Returns NumPy's dtype of an input or output.

    Raises:
      ValueError: if it is none that is served.
    """
    return _dtype(info.dtype, info.name)


class _Status:
    """A TF_Status for one call, raised on leaving if it is not OK."""

    def __init__(self, library):
        self._library = library

    def __enter__(self):
        self._status = self._library.TF_NewStatus()
        return self._status

    def __exit__(self, *_):
        code = self._library.TF_GetCode(self._status)
        message = self._library.TF_Message(self._status).decode(errors="replace")
        self._library.TF_DeleteStatus(self._status)
        if code:
            raise CApiError(code, message)


def _dtype(number, name):
    if number not in _DTYPES:
        raise ValueError(
            f"TensorFlow dtype number {number} of {name} cannot be checked; "
            f"known are {', '.join(str(d) for d in _DTYPES.values())}."
        )
    return _DTYPES[number]


@contextlib.contextmanager
def _quiet():
    """Drops what the libraries log while they start, before log levels apply."""
    saved = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


@functools.cache
def _load_library():
    """Loads the wheel's C++ libraries and disables XLA compilation in this process."""
    if "tensorflow" in sys.modules:
        raise OSError(
            "TensorFlow's Python runs in this process already, and its XLA would be "
            "disabled. Run python -m tfp_flows.serving.check in a process of its own."
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Finding a package does not import it.
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        raise OSError("No TensorFlow beside this Python. Install tensorflow first.")
    folder = pathlib.Path(spec.submodule_search_locations[0])
    for stem in ("libtensorflow_framework", "libtensorflow_cc"):
        # Linux: stem.so.2, macOS: stem.2.dylib
        found = sorted([*folder.glob(f"{stem}.so.*"), *folder.glob(f"{stem}.*.dylib")])
        if not found:
            raise OSError(
                f"No {stem} in {folder}: the C API gate needs the tensorflow wheel for "
                "Linux or macOS."
            )
        library = ctypes.CDLL(str(found[0]), mode=ctypes.RTLD_LOCAL)
    _declare(library)
    # tensorflow::DisableXlaCompilation(), which the server's main calls by default.
    library._ZN10tensorflow21DisableXlaCompilationEv()
    return library


def _declare(library):
    """Tells ctypes the types of the functions used; pointers would be cut otherwise."""
    pointer, size, integer = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    text, void, buffer = ctypes.c_char_p, None, ctypes.POINTER(_Buffer)
    table = {
        "TF_NewStatus": (pointer, []),
        "TF_DeleteStatus": (void, [pointer]),
        "TF_GetCode": (integer, [pointer]),
        "TF_Message": (text, [pointer]),
        "TF_NewGraph": (pointer, []),
        "TF_DeleteGraph": (void, [pointer]),
        "TF_NewBuffer": (buffer, []),
        "TF_DeleteBuffer": (void, [buffer]),
        "TF_NewSessionOptions": (pointer, []),
        "TF_DeleteSessionOptions": (void, [pointer]),
        "TF_SetConfig": (void, [pointer, text, size, pointer]),
        "TF_LoadSessionFromSavedModel": (
            pointer,
            [pointer, pointer, text, pointer, integer, pointer, buffer, pointer],
        ),
        "TF_CloseSession": (void, [pointer, pointer]),
        "TF_DeleteSession": (void, [pointer, pointer]),
        "TF_GraphOperationByName": (pointer, [pointer, text]),
        "TF_AllocateTensor": (pointer, [integer, pointer, integer, size]),
        "TF_DeleteTensor": (void, [pointer]),
        "TF_TensorData": (pointer, [pointer]),
        "TF_TensorByteSize": (size, [pointer]),
        "TF_TensorType": (integer, [pointer]),
        "TF_NumDims": (integer, [pointer]),
        "TF_Dim": (ctypes.c_int64, [pointer, integer]),
        "TF_SessionRun": (
            void,
            [pointer, pointer]
            + [pointer, pointer, integer] * 2
            + [pointer, integer, pointer, pointer],
        ),
    }
    for name, (result, arguments) in table.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
