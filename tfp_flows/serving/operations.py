"""Which operations a served graph may hold: a list of allowed ones, not of bad ones.

Taken from the graphs of our own recipes and of Keras' layers for inference, and read
through one by one: each gives numbers from numbers, keeps nothing, reaches for nothing
and draws nothing. What is not here is refused, whether it is known to be bad or not.
"""

import re

# Numbers from numbers, shapes and lists of tensors.
_ARITHMETIC = """
Abs Acos Acosh Add AddN AddV2 All Any ApproximateEqual ArgMax ArgMin Asin Asinh Atan
Atan2 Atanh BesselI0e BesselI1e BiasAdd BiasAddV1 Bitcast BitwiseAnd BitwiseOr
BitwiseXor Cast Ceil ClipByValue Cos Cosh Cross Cumprod Cumsum CumulativeLogsumexp
Digamma Div DivNoNan Elu Equal Erf Erfc Erfinv Exp Expm1 Floor FloorDiv FloorMod
Greater GreaterEqual Igamma Igammac InvertPermutation IsFinite IsInf IsNan L2Loss
LeakyRelu LeftShift Less LessEqual Lgamma Log Log1p LogicalAnd LogicalNot LogicalOr
LogSoftmax LowerBound Max Maximum Mean Min Minimum Mod Mul MulNoNan Ndtri Neg
NextAfter NotEqual OneHot OnesLike Polygamma Pow Prod RealDiv Reciprocal Relu Relu6
RightShift Rint Round Rsqrt SegmentSum Select SelectV2 Selu Sigmoid Sign Sin Sinh
Softmax SoftmaxCrossEntropyWithLogits Softplus Softsign
SparseSoftmaxCrossEntropyWithLogits Sqrt Square SquaredDifference Sub Sum Tan Tanh
TopKV2 TruncateDiv TruncateMod UnsortedSegmentSum UpperBound Xdivy Xlog1py Xlogy
ZerosLike Zeta
"""
_LINEAR_ALGEBRA = """
BatchMatMul BatchMatMulV2 BatchMatMulV3 Cholesky Einsum MatMul MatrixBandPart
MatrixDiagPartV3 MatrixDiagV3 MatrixSetDiagV3 MatrixTriangularSolve
"""
_IMAGES = """
AvgPool AvgPool3D BatchToSpaceND Conv2D Conv2DBackpropInput Conv3D
Conv3DBackpropInputV2 DepthToSpace DepthwiseConv2dNative Dilation2D FusedBatchNormV3
LRN MaxPool MaxPool3D ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor
SpaceToBatchND SpaceToDepth
"""
_SHAPES = """
BroadcastArgs BroadcastTo ConcatV2 Const EmptyTensorList EnsureShape ExpandDims Fill
GatherNd GatherV2 Identity IdentityN LinSpace MirrorPad Pack Pad PadV2 Placeholder
PlaceholderWithDefault PreventGradient Range Rank Reshape ReverseSequence ReverseV2
Roll ScatterNd Shape ShapeN Size Slice Split SplitV Squeeze StopGradient StridedSlice
TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGetItem
TensorListLength TensorListPopBack TensorListPushBack TensorListReserve
TensorListSetItem TensorListStack TensorScatterAdd TensorScatterUpdate Tile Transpose
Unpack Where
"""
# Calls and loops, whose bodies are read as well, and what reads weights.
_CALLS = """
Case If NoOp PartitionedCall ReadVariableOp ResourceGather ResourceGatherNd
StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile VariableShape While
"""
ALLOWED = frozenset(
    " ".join([_ARITHMETIC, _LINEAR_ALGEBRA, _IMAGES, _SHAPES, _CALLS]).split()
)
# In the main graph of a SavedModel only: where its variables live.
VARIABLES = frozenset(["VarHandleOp"])
# Only where no request leads: what a SavedModel writes and restores itself with.
SAVING = VARIABLES | frozenset(
    """
    AssignVariableOp DisableCopyOnRead MergeV2Checkpoints RestoreV2 SaveV2
    ShardedFilename StaticRegexFullMatch StringJoin VarIsInitializedOp
    """.split()
)
# What is refused -> why, matched against the whole name, the first that fits.
_REASONS = {
    r"Assert|CheckNumerics.*|Debug.*|Print(V2)?|.*Summary.*": "debugs or stops a batch",
    r".*Random.*|.*Multinomial|.*TruncatedNormal.*|Rng.*|NonDeterministic.*|"
    r"Stateful.*(Normal|Uniform|Int|Binomial).*|StatelessSample.*|SampleDistorted.*|"
    r".*Shuffle.*|.*CandidateSampler": "draws random numbers",
    r"Timestamp": "reads the time",
    r"ReadFile|WriteFile|MatchingFiles|Save.*|Restore.*|.*Reader.*|MergeV2.*|"
    r"ShardedFilename|.*Dataset.*|.*Iterator.*|.*File.*": "reads or writes files",
    r".*Rpc.*|_?(Host)?(Send|Recv).*|Remote.*|Collective.*": "leaves the process",
    r".*Py(Func|Function).*": "calls Python",
    r"Batch|BatchFunction|Unbatch.*|Barrier.*": "joins requests",
    r"Assign.*|.*Variable.*|VarHandleOp|VarIsInitializedOp|.*Stack(V2)?|.*Queue.*|"
    r".*Accumulator.*|.*HashTable.*|Lookup.*|Stage.*|Map.*|Mutex.*|Resource.*|Scatter.*|"
    r"TensorArray.*|.*Session.*|.*Counter.*": "keeps state between requests",
}


def refusal(op: str) -> str:
    """Returns an operation that is not allowed with the reason in a few words.

    Examples:
      >>> refusal("Timestamp")
      'Timestamp (reads the time)'
      >>> refusal("Frobnicate")
      'Frobnicate (not on the list of operations known to be safe)'
    """
    for pattern, reason in _REASONS.items():
        if re.fullmatch(pattern, op):
            return f"{op} ({reason})"
    return f"{op} (not on the list of operations known to be safe)"
