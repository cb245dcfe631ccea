"""A scripted next hop with STARTTLS, and the certificates for it."""
import pathlib
import ssl
import subprocess

import harness


class Certificates:
    """An authority and what it signs, made with openssl."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir()
        self.authority = self.directory / "authority.pem"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-subj", "/CN=test authority", "-days", "3", "-keyout", "authority.key", "-out", "authority.pem")

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)

    def make(self, name, kind="ec", is_signed=True):
        """(certificate, key) for a host name, by the authority or self-signed."""
        stem = f"{name}-{kind}-{is_signed}"
        algorithm = (["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec"
                     else ["-newkey", "rsa:2048"])
        signer = ["-CA", "authority.pem", "-CAkey", "authority.key"] if is_signed else []
        self._openssl("req", "-x509", *algorithm, "-nodes", "-subj", f"/CN={name}", "-days", "2",
                      "-addext", f"subjectAltName=DNS:{name}", "-addext", "basicConstraints=critical,CA:FALSE",
                      *signer, "-keyout", f"{stem}.key", "-out", f"{stem}.pem")
        return self.directory / f"{stem}.pem", self.directory / f"{stem}.key"


class Pushed:
    """A stream in front of which a line is put back."""

    def __init__(self, line, stream):
        self.line, self.stream = line, stream

    def readline(self, limit=-1):
        line, self.line = self.line, b""
        return line or self.stream.readline(limit)

    def read(self, count):
        assert not self.line
        return self.stream.read(count)


class TlsHop(harness.NextHop):
    """`certificate`: (certificate, key). `manner` says what becomes of STARTTLS: good, hidden (not
    offered), refused (454), garbage or gone (behind the 220), injected (clear text behind it)."""

    def __init__(self, *arguments, certificate, manner="good", wants_certificate=None, **options):
        self.manner = manner
        self.starts = 0          # STARTTLS commands seen
        self.handshakes = []     # (version, was resumed, subject of the client's certificate)
        self.failures = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        if wants_certificate:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(wants_certificate)
        super().__init__(*arguments, **options)

    def _serve(self, connection, number):
        session = {"accept": None, "connection": number, "tls": None}
        try:
            with connection:
                self._act(connection, "banner", b"", session)
                self._before_tls(connection, session)
        except (OSError, ConnectionAbortedError, ValueError):
            pass
        finally:
            self.open.discard(connection)

    @staticmethod
    def _line(connection):
        line = b""
        while not line.endswith(b"\n"):
            octet = connection.recv(1)
            if not octet:
                raise ConnectionAbortedError
            line += octet
        return line

    def _before_tls(self, connection, session):
        while True:
            line = self._line(connection)
            verb = line[:8].upper().rstrip()
            if verb.startswith(b"EHLO"):
                self.commands.append(line.rstrip())
                offer = [] if self.manner == "hidden" else ["STARTTLS"]
                lines = ["sink", *offer, *self.keywords]
                connection.sendall("".join(f"250{'-' if text is not lines[-1] else ' '}{text}\r\n"
                                           for text in lines).encode())
            elif verb == b"STARTTLS" and self.manner == "refused":
                self.starts += 1
                connection.sendall(b"454 4.7.0 no TLS today\r\n")
            elif verb == b"STARTTLS":
                self.starts += 1
                self._start_tls(connection, session)
                return
            else:
                with connection.makefile("rb") as stream:
                    self._dialogue(connection, Pushed(line, stream), session)
                return

    def _start_tls(self, connection, session):
        if self.manner == "injected":
            connection.sendall(b"220 2.0.0 go on\r\n250-sink\r\n250 PIPELINING\r\n")
        else:
            connection.sendall(b"220 2.0.0 go on\r\n")
        if self.manner == "gone":
            raise ConnectionAbortedError
        if self.manner == "garbage":
            connection.recv(4096)
            connection.sendall(b"220 what was that?\r\n" * 3)
            raise ConnectionAbortedError
        try:
            protected = self.context.wrap_socket(connection, server_side=True)
        except (OSError, ssl.SSLError) as error:
            self.failures.append(str(error))
            raise ConnectionAbortedError from error
        subject = dict(pair[0] for pair in (protected.getpeercert() or {}).get("subject", ()))
        session["tls"] = protected.version()
        self.handshakes.append((protected.version(), protected.session_reused, subject.get("commonName")))
        with protected, protected.makefile("rb") as stream:
            self._dialogue(protected, stream, session)
            try:
                protected.unwrap()
            except (OSError, ssl.SSLError):
                pass

    def _end_content(self, connection, line, session, message):
        message.tls = session["tls"]
        super()._end_content(connection, line, session, message)
