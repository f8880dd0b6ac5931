"""Build the images with whichever of docker, podman and buildah is there, and record what they were built from.

The base is pulled first and then named by its digest, so that the record says what was used. Digests are those that the engine reports:
that of the base after pulling, those of the images after pushing. Without --push an image has no digest, and the record says null.

usage: python images/build.py [--repository registry.example.org/team] [--push] [full] [light]
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENGINES = ("docker", "podman", "buildah")
IMAGES = {"full": ("detkds", "Dockerfile"), "light": ("detkds-light", "Dockerfile.light")}
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def engine(names=ENGINES):
    """The first engine that is installed and answers; docker does not where its daemon is not running."""
    for name in names:
        if shutil.which(name) and subprocess.run([name, "info"], capture_output=True).returncode == 0:
            return name
    sys.exit(f"cannot build: none of {', '.join(names)} is installed and answers; apt install podman, or start docker")


def run(command, capture=False):
    """Run a command; returns what it printed where that is captured, and stops where the command fails."""
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE if capture else None, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command[:2])} failed with code {result.returncode}: {shlex.join(command)}")
    return result.stdout.strip() if capture else ""


def exact(image):
    """Stop where an image is named neither by a digest nor by a version tag."""
    tag = image.rpartition("/")[2].partition(":")[2]
    if not DIGEST.search(image) and (not tag or tag == "latest"):
        sys.exit(f"the base must have a version tag or a digest, got {image}; name one, as in debian:12.15-slim")
    return image


def digest_of(name, image):
    """The digest of an image that this engine has pulled, as the engine reports it; None where it has none."""
    template = "{{.FromImageDigest}}" if name == "buildah" else "{{range .RepoDigests}}{{println .}}{{end}}"
    kind = ["inspect", "--type", "image"] if name == "buildah" else ["image", "inspect"]
    found = DIGEST.search(run([name, *kind, "--format", template, image], capture=True))
    return found.group() if found else None


def resolved(name, base):
    """The base named by its digest, after pulling it where it is not on this machine."""
    if subprocess.run([name, *(["inspect"] if name == "buildah" else ["image", "inspect"]), base], capture_output=True).returncode != 0:
        run([name, "pull", base])
    digest = digest_of(name, base)
    if digest is None:
        sys.exit(f"{name} knows no digest of {base}; give a base that comes from a registry, or was imported with podman")
    head, _, last = base.partition("@")[0].rpartition("/")
    return f"{head + '/' if head else ''}{last.partition(':')[0]}@{digest}"


def version():
    """The version of detkds."""
    return re.search(r'__version__ = "(.+)"', (ROOT / "detkds" / "__init__.py").read_text()).group(1)


def revision():
    """The commit that is built, marked where files were changed since; "unknown" outside a git checkout."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    result = subprocess.run(command, capture_output=True, text=True)
    return result.stdout.strip() if result.returncode == 0 else "unknown"


def build(name, image, base, options):
    """Build one image; returns its name with the tag."""
    title, dockerfile = IMAGES[image]
    tag = f"{options.repository + '/' if options.repository else ''}{title}:{options.tag}"
    arguments = {"BASE": base, "VERSION": version(), "REVISION": revision()}
    if image == "full":
        arguments["DEVICE"] = options.device
        arguments |= {key: value for key, value in {"CUDA_ARCHITECTURES": options.architectures}.items() if value}
    flags = [flag for key, value in arguments.items() for flag in ("--build-arg", f"{key}={value}")]
    run([name, "build", "--file", f"images/{dockerfile}", "--tag", tag, *flags, *shlex.split(options.flags), "."])
    return tag


def push(name, tag):
    """Push an image; returns the digest under which the registry has it."""
    if name == "docker":
        run([name, "push", tag])
        return digest_of(name, tag)
    with tempfile.TemporaryDirectory() as scratch:
        run([name, "push", "--digestfile", f"{scratch}/digest", tag])
        return Path(scratch, "digest").read_text().strip()


def arguments(given):
    """The command line."""
    parser = argparse.ArgumentParser(description="Build the images of detkds.")
    parser.add_argument("images", nargs="*", help="full, light; both where none is named")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="what the full image runs on")
    parser.add_argument("--architectures", default="", help='GPU architectures of mmcv\'s operators, as in "8.0;9.0+PTX"')
    parser.add_argument("--base", type=exact, default="debian:12.15-slim", help="a Debian 12 image with a version tag or digest")
    parser.add_argument("--repository", default="", help="prefix of the images' names, as in registry.example.org/team")
    parser.add_argument("--tag", default=version())
    parser.add_argument("--push", action="store_true", help="push the images, and record their digests")
    parser.add_argument("--record", type=Path, default=ROOT / "build" / "images.json", help="the file that records digests")
    parser.add_argument("--flags", default=os.environ.get("IMAGE_FLAGS", ""), help="further flags of the engine's build command")
    options = parser.parse_args(given)
    if unknown := set(options.images) - set(IMAGES):
        parser.error(f"unknown image {', '.join(sorted(unknown))}: choose from {', '.join(IMAGES)}")
    return options


def main(given=None):
    """Build, push where asked, and write the record."""
    options = arguments(given)
    name = engine()
    base = resolved(name, options.base)
    record = {"engine": name, "revision": revision(), "base": {"name": options.base, "used": base}, "images": {}}
    for image in options.images or IMAGES:
        tag = build(name, image, base, options)
        record["images"][image] = {"name": tag, "digest": push(name, tag) if options.push else None}
    options.record.parent.mkdir(parents=True, exist_ok=True)
    options.record.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{', '.join(entry['name'] for entry in record['images'].values())}; digests in {options.record}")


if __name__ == "__main__":
    main()
