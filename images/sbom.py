"""Print what an image is made of as a CycloneDX 1.6 document: the Python distributions of this interpreter and Debian's packages.

usage: python sbom.py > sbom.cdx.json
"""

import importlib.metadata
import json
import subprocess
import sys


def python_components():
    """Every installed distribution, as CycloneDX components sorted by name."""
    found = {}
    for distribution in importlib.metadata.distributions():
        name, version = distribution.metadata["Name"], distribution.version
        found[name.lower()] = component(name, version, f"pkg:pypi/{name.lower().replace('_', '-')}@{version.replace('+', '%2B')}")
    return [found[name] for name in sorted(found)]


def debian_components(listing):
    """Debian's packages, from lines of name, version and architecture, separated by tabs."""
    rows = sorted(line.split("\t") for line in listing.splitlines() if line)
    return [
        component(name, version, f"pkg:deb/debian/{name}@{version.replace(':', '%3A').replace('+', '%2B')}?arch={architecture}")
        for name, version, architecture in rows
    ]


def component(name, version, purl):
    """One library of the document; its package URL is its identity."""
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def document(components):
    """The document without a time stamp, so that the same packages give the same bytes."""
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components}


def main():
    """Print the document of this machine."""
    query = ["dpkg-query", "--show", "--showformat", "${Package}\t${Version}\t${Architecture}\n"]
    listing = subprocess.run(query, check=True, capture_output=True, text=True).stdout
    json.dump(document(python_components() + debian_components(listing)), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
