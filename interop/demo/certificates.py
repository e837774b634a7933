# SPDX-License-Identifier: MIT
"""Certificates for the demo, made with the openssl program in a folder of the caller."""
import os
import subprocess

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def _openssl(folder, *arguments):
    done = subprocess.run(["openssl", *arguments], cwd=folder, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise RuntimeError("openssl %s:\n%s" % (arguments[0], done.stdout.decode()))


def authority(folder, name):
    """NAME.pem and NAME.key: a certificate authority"""
    _openssl(folder, "req", "-x509", *NEW_KEY, "-keyout", name + ".key", "-out", name + ".pem",
             "-days", "2", "-subj", "/CN=Demo authority " + name,
             "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    return os.path.join(folder, name + ".pem")


def server(folder, name, issuer, alternatives):
    """NAME.pem and NAME.key: a server certificate for the given names"""
    extensions = os.path.join(folder, name + ".ext")
    with open(extensions, "w", encoding="ascii") as file:
        file.write("basicConstraints=CA:FALSE\nsubjectAltName=%s\n" % alternatives)
    _openssl(folder, "req", "-new", *NEW_KEY, "-keyout", name + ".key", "-out", name + ".csr",
             "-subj", "/CN=" + name)
    _openssl(folder, "x509", "-req", "-in", name + ".csr", "-CA", issuer + ".pem", "-CAkey",
             issuer + ".key", "-CAcreateserial", "-out", name + ".pem", "-days", "2", "-extfile",
             extensions)
    return os.path.join(folder, name + ".pem"), os.path.join(folder, name + ".key")
