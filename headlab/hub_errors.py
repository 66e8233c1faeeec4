"""What kept the hub from sending a file: cause and remedy in a few words, whatever the hub's client raised."""

import os
import shlex
import socket
import ssl
import sys
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from huggingface_hub import constants

AGAIN = "run again to resume"
LOGIN = "open any page in a browser, log in to this network, then run again"
PAGE = ("a page that is no model, a network's login page perhaps", LOGIN)
STATUS = {
    401: ("no public model of that name (401)", "check the name; a private model needs a valid HF_TOKEN"),
    403: ("403, forbidden", "a filter in this network, or a model whose owner has to grant you access (HF_TOKEN)"),
    404: ("no such file (404)", "check the name; headlab needs a model with safetensors weights in one file"),
    407: ("the proxy wants a name and a password (407)", "set {proxy} to http://NAME:PASSWORD@HOST:PORT"),
    429: ("too many requests from this network (429)", "wait some minutes, then run again"),
    511: ("this network wants a login (511)", LOGIN),
}


class NotTheModel(ValueError):
    """The hub, or something in its place, answered with something else than the model."""


class TooSlow(TimeoutError):
    """The hub answers, but too slowly for a download to end."""


def why(error):
    """ "cause; remedy" of a download that failed, in one line that names no password."""
    causes = _causes(error)
    for rule in (_offline, _answer, _status, _proxy, _certificate, _connection):
        told = rule(causes)
        if told:
            return "; ".join(told)
    reason = " ".join(str(causes[-1]).split())[:120].rstrip(".")
    return f"{type(causes[-1]).__name__}{': ' * bool(reason)}{reason}; {AGAIN}"


def _causes(error):
    """The error, what caused it, and so on down to the first."""
    causes = []
    while error is not None and error not in causes:
        causes.append(error)
        error = error.__cause__ or error.__context__
    return causes


def _first(causes, *kinds):
    """The first of the causes that is of a kind, given as a class or by a class's name: the hub's client has changed
    the package that makes its connections, and with it the classes, but not their names."""
    for cause in causes:
        if any(kind in (known, known.__name__) for known in type(cause).__mro__ for kind in kinds):
            return cause
    return None


def _offline(causes):
    if _first(causes, "OfflineModeIsEnabled"):
        return "HF_HUB_OFFLINE is set", "unset it, then run again"
    return None


def _answer(causes):
    told = _first(causes, NotTheModel)
    return told and told.args


def _status(causes):
    error = _first(causes, "HfHubHTTPError", "HTTPStatusError")
    if error is None:
        return None
    status = error.response.status_code
    cause, remedy = STATUS.get(status, (f"{status}, {_phrase(status)}", "run again later"))
    return cause, remedy.format(proxy=(_proxy_in_use() or ("HTTPS_PROXY", ""))[0])


def _phrase(status):
    try:
        return HTTPStatus(status).phrase.lower()
    except ValueError:
        return "not a known status"


def _proxy(causes):
    variable, address = _proxy_in_use() or ("a proxy's variable", "the proxy")
    if "socksio" in str(_first(causes, ImportError)):
        remedy = f"run: {this_python()} -m pip install socksio, or unset the variable"
        return f"{variable} names a SOCKS proxy, and the package socksio is missing", remedy
    if not _proxy_in_use():
        return None
    error = _first(causes, "ProxyError")
    if error and "407" in str(error):
        return STATUS[407][0], STATUS[407][1].format(proxy=variable)
    if error:
        return f"the proxy {address} of {variable} refuses: {' '.join(str(error).split())[:80]}", "ask who runs it"
    if _first(causes, "InvalidURL", "UnsupportedProtocol") or (type(causes[0]) is ValueError):
        return f"{variable} is not the address of a proxy", "set it to http://HOST:PORT, or unset it"
    if _first(causes, "ConnectError", "ConnectTimeout", TimeoutError):
        return f"no connection through the proxy {address} of {variable}", "correct or unset that variable"
    return None


def _certificate(causes):
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        place = os.environ.get(variable)
        if place and not Path(place).exists():
            return f"{variable} names {place}, which does not exist", "correct or unset it"
    if _first(causes, ssl.SSLCertVerificationError):
        reason = _first(causes, ssl.SSLCertVerificationError).verify_message or "verification failed"
        remedy = "log in to this network, or set SSL_CERT_FILE to the certificates that it hands out"
        return f"a certificate that this machine does not trust ({reason})", remedy
    if _first(causes, ssl.SSLError):
        reason = _first(causes, ssl.SSLError).reason or "TLS failed"
        return (
            f"no secure connection to {_host()} ({reason})",
            "check SSL_CERT_FILE, HF_ENDPOINT and the network's filter",
        )
    return None


def _connection(causes):
    if _first(causes, socket.gaierror):
        return f"the name {_host()} is not found", "connect this machine to the internet, then run again"
    if _first(causes, "InvalidURL", "UnsupportedProtocol"):
        return f"{constants.ENDPOINT} is not the address of a hub", "correct or unset HF_ENDPOINT"
    if _first(causes, "TimeoutException", TimeoutError):
        told = _first(causes, TooSlow) or f"no answer from {_host()} in time"
        return str(told), f"check the network, then {AGAIN}"
    if _first(causes, "RemoteProtocolError", "ReadError"):
        return f"the connection to {_host()} broke off", AGAIN
    refused = _first(causes, OSError)
    if refused and refused.errno:
        return f"no connection to {_host()}: {refused.strerror}", f"check the network, then {AGAIN}"
    return None


def _host():
    return urlsplit(constants.ENDPOINT).hostname or constants.ENDPOINT


def _proxy_in_use():
    """(the variable that says so, host:port) of the proxy between here and the hub, or None."""
    scheme, host = urlsplit(constants.ENDPOINT).scheme, _host()
    proxies = getproxies()
    for kind in (scheme, "all"):
        if proxies.get(kind) and not proxy_bypass(host):
            names = (f"{kind}_proxy", f"{kind}_proxy".upper())
            variable = next((name for name in names if os.environ.get(name)), "the system's settings")
            return variable, proxies[kind].rpartition("@")[2].rpartition("://")[2].strip("/")
    return None


def this_python():
    """The running Python as a command for the shell, where nothing is activated."""
    return f'& "{sys.executable}"' if os.name == "nt" else shlex.quote(sys.executable)
