"""Why no answer came over HTTP, in words for people: the classes of httpx are no concern of theirs."""

import errno

import httpx

_CHAIN = 8  # errors of errors that are looked at


def describe_http_error(error: BaseException) -> str:
    """Why a request had no answer, as a few words: ``connection refused``, ``no answer in time``, …"""
    if isinstance(error, httpx.HTTPStatusError):
        return f"{error.request.url.host} answered {error.response.status_code}"
    if isinstance(error, httpx.TimeoutException):
        return "no connection in time" if isinstance(error, httpx.ConnectTimeout) else "no answer in time"
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return "that is no address of the web"
    if isinstance(error, httpx.ConnectError):
        return _describe_connect_error(error)
    if isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
        return "the connection broke off"
    if isinstance(error, httpx.ProxyError):
        return "the proxy refused"
    return "no answer that could be read"


def _describe_connect_error(error: BaseException) -> str:
    link: BaseException | None = error
    for _ in range(_CHAIN):
        if link is None:
            break
        if getattr(link, "errno", None) == errno.ECONNREFUSED:
            return "connection refused"
        if "getaddrinfo" in str(link) or type(link).__name__ == "gaierror":
            return "there is no such host"
        if "WRONG_VERSION_NUMBER" in str(link).upper():
            return "it does not speak TLS: is it http://?"
        if "CERTIFICATE" in str(link).upper():
            return "its certificate is not valid"
        link = link.__cause__ or link.__context__
    words = str(error).lower()
    if "refused" in words:
        return "connection refused"
    if "name or service" in words or "name resolution" in words:
        return "there is no such host"
    return "no connection"
