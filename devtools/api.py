"""The control plane's HTTPS API from Python, for looking at real outcomes. Certificates are always verified."""

import http.client
import json
import ssl
import urllib.parse

from devtools.process import PATIENCE_S


class ApiError(Exception):
    def __init__(self, method, path, status, problem):
        self.status, self.problem = status, problem
        self.code = problem.get("code", "")
        text = problem.get("detail") or problem.get("title") or str(problem)
        super().__init__(f"{method} {path}: {status} {self.code} {text}".strip())


class Api:
    """One person (token) or one node (certificate) against `url`, trusting `ca_file`."""

    def __init__(self, url, ca_file=None, token=None, cert_file=None, key_file=None):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port or 443
        self.token = token
        self.context = ssl.create_default_context(cafile=ca_file)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        if cert_file:
            self.context.load_cert_chain(cert_file, key_file)

    def raw(self, method, path, body=None, headers=None):
        """(status, headers, bytes) of one request on a connection of its own."""
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=PATIENCE_S, context=self.context)
        try:
            send = {"Accept": "application/json", **(headers or {})}
            if self.token:
                send["Authorization"] = f"Bearer {self.token}"
            data = None
            if body is not None:
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                send.setdefault("Content-Type", "application/json")
            connection.request(method, path, data, send)
            answer = connection.getresponse()
            return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), answer.read()
        finally:
            connection.close()

    def call(self, method, path, body=None, headers=None):
        status, _, data = self.raw(method, path, body, headers)
        try:
            value = json.loads(data) if data else {}
        except ValueError:
            value = {"detail": data[:200].decode(errors="replace")}
        if status >= 400:
            raise ApiError(method, path, status, value if isinstance(value, dict) else {"detail": str(value)})
        return value

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body=None, key=None):
        return self.call("POST", path, {} if body is None else body, {"Idempotency-Key": key} if key else None)

    def delete(self, path):
        return self.call("DELETE", path)

    def patch(self, path, body):
        _, headers, _ = self.raw("GET", path)
        return self.call("PATCH", path, body, {"If-Match": headers.get("etag", "*")})

    def items(self, path):
        """Every item of a list, over all its pages."""
        found, cursor = [], None
        while True:
            more = ("&" if "?" in path else "?") + "limit=200" + (
                "&cursor=" + urllib.parse.quote(cursor) if cursor else "")
            page = self.get(path + more)
            found += page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return found

    def login(self, login, password, totp=None):
        body = {"login": login, "password": password}
        if totp:
            body["totp"] = totp
        self.token = self.post("/v1/auth/login", body)["token"]
        return self.token
