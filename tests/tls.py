"""TLS in front of a server that has none: the embedded one is built without."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CERTIFICATES = Path(__file__).parent / "certificates"
AUTHORITY = CERTIFICATES / "authority.pem"
CLIENT = CERTIFICATES / "client.pem"


@contextmanager
def tls(server: str | int, rewrite: tuple[bytes, bytes] = (b"", b""), *, with_client: bool = False) -> Iterator[int]:
    """Terminate TLS for a server.

    Args:
        server: the path of its socket, or its port.
        rewrite: what is replaced in its answers, and by what of the same length: an address it tells.
        with_client: whether a client must show a certificate, too.

    Yields:
        The port to connect to.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "server.pem")
    if with_client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(AUTHORITY)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, context, server, rewrite), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, context: ssl.SSLContext, server: str | int, rewrite: tuple[bytes, bytes]) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, context, server, rewrite), daemon=True).start()


def _serve(client: socket.socket, context: ssl.SSLContext, server: str | int, rewrite: tuple[bytes, bytes]) -> None:
    with suppress(OSError), context.wrap_socket(client, server_side=True) as inside, _connected(server) as behind:
        back = threading.Thread(target=_pump, args=(behind, inside, rewrite), daemon=True)
        back.start()
        _pump(inside, behind, (b"", b""))
        back.join()


def _connected(server: str | int) -> socket.socket:
    if isinstance(server, int):
        return socket.create_connection(("127.0.0.1", server))
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(server)
    return connection


def _pump(source: socket.socket, sink: socket.socket, rewrite: tuple[bytes, bytes]) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data.replace(*rewrite) if rewrite[0] else data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
