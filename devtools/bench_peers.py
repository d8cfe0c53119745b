"""Debian's peers of the channel, each in the place of ours: one worker, TLS 1.3 with the same cipher, certificates asked
for on both sides, and the buffer sizes that carry most.

`Peer.argv(folder, port, target)` is a command that stays in the foreground, listens on `port` of 127.0.0.1 and carries what
comes on to `target`; configuration, pid file and log stay in `folder`.
"""

import dataclasses
import os
import pathlib
import typing

CIPHER = "TLS_AES_128_GCM_SHA256"
NGINX, HAPROXY, NGHTTPX = "/usr/sbin/nginx", "/usr/sbin/haproxy", "/usr/sbin/nghttpx"
NGINX_STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so"


@dataclasses.dataclass(frozen=True)
class Peer:
    name: str
    near: str        # how channel_bench asks it for streams
    far: str         # what it has behind it
    argv: typing.Callable
    needs: tuple = ()

    def absent(self):
        """What it would need and is not there, or nothing."""
        return next((path for path in self.needs if not os.path.exists(path)), "")


def nginx(secured_out):
    def argv(folder, port, target):
        out = (f"proxy_ssl on; proxy_ssl_protocols TLSv1.3; proxy_ssl_conf_command Ciphersuites {CIPHER};"
               f" proxy_ssl_certificate {folder}/host.pem; proxy_ssl_certificate_key {folder}/host.key;"
               " proxy_ssl_session_reuse off;") if secured_out else ""
        conf = pathlib.Path(folder) / f"nginx-{port}.conf"
        conf.write_text(f"""load_module {NGINX_STREAM};
worker_processes 1; daemon off; pid {folder}/nginx-{port}.pid; error_log {folder}/log;
{'user root;' if os.getuid() == 0 else ''}
events {{ worker_connections 4096; }}
stream {{ server {{ listen 127.0.0.1:{port} ssl; tcp_nodelay on; ssl_protocols TLSv1.3;
  ssl_conf_command Ciphersuites {CIPHER};
  ssl_certificate {folder}/host.pem; ssl_certificate_key {folder}/host.key; ssl_session_tickets off;
  ssl_client_certificate {folder}/ca.pem; ssl_verify_client on; ssl_verify_depth 3;
  proxy_buffer_size 64k; proxy_pass 127.0.0.1:{target}; {out} }} }}
""")
        return [NGINX, "-p", folder, "-e", f"{folder}/log", "-c", conf]
    return argv


def haproxy(secured_out):
    def argv(folder, port, target):
        out = f"ssl verify none crt {folder}/host-and-key.pem ciphersuites {CIPHER}" if secured_out else ""
        conf = pathlib.Path(folder) / f"haproxy-{port}.cfg"
        conf.write_text(f"""global
  nbthread 1
  maxconn 4096
  tune.bufsize 65536
  ssl-default-bind-ciphersuites {CIPHER}
  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
defaults
  mode tcp
  timeout client 600s
  timeout server 600s
  timeout connect 5s
listen l
  bind 127.0.0.1:{port} ssl crt {folder}/host-and-key.pem ca-file {folder}/ca.pem verify required
  server s 127.0.0.1:{target} {out}
""")
        return [HAPROXY, "-db", "-f", conf]
    return argv


def nghttpx(folder, port, target):
    both = [f"--{side}-http2-{what}" for side in ("frontend", "backend") for what in (
        "max-concurrent-streams=1000", "window-size=1048575", "connection-window-size=16777215")]
    return [NGHTTPX, "--conf=/dev/null", "--http2-proxy", "--workers=1", "--single-process", "--no-ocsp",
            f"--frontend=127.0.0.1,{port}", f"--backend=127.0.0.1,{target};;proto=h2;tls", "--insecure",
            f"--verify-client-cacert={folder}/ca.pem", "--verify-client", f"--tls13-ciphers={CIPHER}",
            f"--tls13-client-ciphers={CIPHER}", f"--errorlog-file={folder}/log", *both,
            "--backend-connections-per-host=1000", "--backend-request-buffer=128K",
            "--frontend-http2-read-timeout=600", "--stream-read-timeout=600", "--stream-write-timeout=600",
            f"--client-cert-file={folder}/host.pem", f"--client-private-key-file={folder}/host.key",
            f"{folder}/host.key", f"{folder}/host.pem"]


def ends(program):
    """TLS in, plain out. What ours is, and the limit, are programs of tests/bench/channel_bench.hpp."""
    def raw(direction):
        return lambda folder, port, target: [program, f"raw-{direction}", folder, port, target]
    return (Peer("ours", "end", "plain", lambda folder, port, target: [program, "end", folder, port, target]),
            {direction: Peer("loop", "tls", "plain", raw(direction)) for direction in ("up", "down")},
            (Peer("nginx", "tls", "plain", nginx(False), (NGINX, NGINX_STREAM)),
             Peer("haproxy", "tls", "plain", haproxy(False), (HAPROXY,))))


def relays(program):
    """TLS in and out."""
    return (Peer("ours", "relay", "mesh", lambda folder, port, target: [program, "relay", folder, port, target]),
            Peer("nginx", "tls", "tls", nginx(True), (NGINX, NGINX_STREAM)),
            Peer("haproxy", "tls", "tls", haproxy(True), (HAPROXY,)),
            Peer("nghttpx", "h2", "h2", nghttpx, (NGHTTPX,)))
