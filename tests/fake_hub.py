"""A hub on the loopback for the download tests: it serves one repository, and can be told to misbehave."""

import hashlib
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "a" * 40


class Hub(ThreadingHTTPServer):
    """Serves `files` ({name: bytes}); the rest of its attributes say how it misbehaves."""

    daemon_threads = True

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.drop_after = None  # bytes of the weights after which the connection breaks
        self.whole = False  # sends the whole file, whatever part of it is asked for
        self.flip = 0  # in the weights' first byte, the bits that it sends wrong
        self.html = False  # answers every request for a file with a page, as a hotel's network does
        self.redirect = False  # sends every request for a file to such a page
        self.status = None  # refuses everything with this status
        self.drip = None  # seconds after each byte of the weights
        self.tokens = None  # those that are valid; with another one everything is refused, as the real hub does
        self.private = None  # the model that takes a valid token
        self.seen_tokens = set()
        self.hang = threading.Event()  # set by the end of the test: a stalled answer waits for it
        self.hang_after = None  # bytes of the weights after which nothing more comes, on an open connection
        self.requests = []  # (method, name, Range header)

    @property
    def url(self):
        """Address of this hub."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers HEAD and GET for /owner/name/resolve/revision/file as the Hugging Face hub does."""

    def log_message(self, *arguments):
        """Keep quiet."""

    def do_HEAD(self):
        """The file's size and tag."""
        self.answer(with_body=False)

    def do_GET(self):
        """The file, from the byte that the Range header names."""
        self.answer(with_body=True)

    def answer(self, with_body):
        """One response, misbehaving as the hub was told to."""
        hub, name = self.server, self.path.partition("/resolve/")[2].partition("/")[2].partition("?")[0]
        hub.requests.append((self.command, name, self.headers.get("Range")))
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        hub.seen_tokens.add(token)
        wanted = hub.private is not None and self.path.startswith(f"/{hub.private}/")
        if hub.tokens is not None and (token or wanted) and token not in hub.tokens:
            return self.send(401, b"", {"X-Error-Message": "Invalid credentials in Authorization header"}, with_body)
        if hub.status:
            return self.send(hub.status, b"", {}, with_body)
        if hub.redirect and "/resolve/" in self.path:
            return self.send(302, b"", {"Location": f"{hub.url}/login"}, with_body)
        if hub.html or hub.redirect:
            return self.send(200, b"<html>Please log in</html>", {"Content-Type": "text/html"}, with_body)
        if name not in hub.files:
            return self.send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, with_body)
        content = hub.files[name]
        digest = hashlib.sha256(content).hexdigest()
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
        wanted = "" if hub.whole else self.headers.get("Range")
        start = int((wanted or "bytes=0-").removeprefix("bytes=").split("-")[0])
        body, status = content[start:], 206 if start else 200
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if hub.flip and name.endswith(".safetensors"):
            body = bytes([body[0] ^ hub.flip]) + body[1:]
        if with_body and hub.hang_after is not None and name.endswith(".safetensors"):
            self.send(status, body, headers, with_body, max(0, hub.hang_after - start))
            return hub.hang.wait(60)
        cut = hub.drop_after if name.endswith(".safetensors") and with_body else None
        return self.send(status, body, headers, with_body, cut)

    def send(self, status, body, headers, with_body, cut=None):
        """Status, headers and as much of the body as is to be sent."""
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            body, sent = body if cut is None else body[:cut], 0
            while sent < len(body):
                some = 1 if self.server.drip and len(body) > 10**7 else len(body)
                self.wfile.write(body[sent : sent + some])
                self.wfile.flush()
                sent += some
                time.sleep(self.server.drip or 0)
        self.close_connection = True


@contextmanager
def serving(files):
    """A hub that runs while the block does."""
    hub = Hub(files)
    thread = threading.Thread(target=hub.serve_forever, args=[0.01], daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.hang.set()
        hub.shutdown()
        hub.server_close()
        thread.join()
