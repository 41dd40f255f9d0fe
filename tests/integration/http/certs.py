"""Certificates for the length of a test, made by the openssl program."""

import os
import shutil
import ssl
import subprocess
import tempfile


class Certs:
    """A folder with an authority and what it signed."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="jimbot-certs-")
        self.ca = self.authority("ca")
        self.cert, self.key = self.signed("server")

    def path(self, name):
        return os.path.join(self.dir, name)

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def openssl(self, *words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=20)

    def authority(self, name):
        """Make an authority; returns its certificate."""
        self.openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=" + name, "-keyout", self.path(name + ".key"), "-out", self.path(name + ".pem"),
            "-addext", "basicConstraints=critical,CA:TRUE",
        )  # fmt: skip
        return self.path(name + ".pem")

    def signed(self, name, ca="ca", days=2, subject=None):
        """A certificate for localhost and 127.0.0.1 of the common name `name`: (certificate, key)."""
        stem = self.path(name)
        with open(stem + ".ext", "w", encoding="ascii") as f:
            f.write("subjectAltName=DNS:localhost,DNS:jimbot.test,IP:127.0.0.1\n")
        self.openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", subject or "/CN=" + name, "-keyout", stem + ".key", "-out", stem + ".csr",
        )  # fmt: skip
        self.openssl(
            "x509", "-req", "-in", stem + ".csr", "-CA", self.path(ca + ".pem"), "-CAkey", self.path(ca + ".key"),
            "-CAcreateserial", "-days", str(days), "-extfile", stem + ".ext", "-out", stem + ".pem",
        )  # fmt: skip
        os.chmod(stem + ".key", 0o600)
        return stem + ".pem", stem + ".key"

    def flags(self):
        return "--tls-cert", self.cert, "--tls-key", self.key

    def client(self, name=None, version=None):
        """A context that trusts the authority and shows the certificate `name`."""
        context = ssl.create_default_context(cafile=self.ca)
        if name:
            context.load_cert_chain(self.path(name + ".pem"), self.path(name + ".key"))
        if version:
            context.minimum_version = context.maximum_version = version
        return context
