"""What a server answers in place of outputs."""


class ServerError(RuntimeError):
    """A request that the server refused, or could not answer in time.

    Args:
      code: as gRPC has it, such as "INVALID_ARGUMENT", or "HTTP 400".
      message: the server's own.
      may_pass: whether asking again may help.

    Examples:
      >>> error = ServerError("UNAVAILABLE", "no such host", may_pass=True)
      >>> str(error), error.may_pass
      ('UNAVAILABLE: no such host', True)
    """

    def __init__(self, code: str, message: str, may_pass: bool = False):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.may_pass = may_pass
