#!/usr/bin/env python3
"""Sends films to `pumua serve` with gdcmscu.

    by_gdcm.py PROGRAM MODEL

PROGRAM is `pumua`, MODEL a model that judges drawings. Fails if C-ECHO or C-STORE is not answered, if a film sent again is kept again,
or if one has another answer than its file has by `pumua predict`.
"""

import signal
import subprocess
import sys

import serving

FILMS = 6
# gdcmscu 3.0.21 ends so when it is told that an association is released, also by dcmtk's storescp.
KNOWN = "ProtocolStream as nullptr is invalid"


def gdcmscu(server, *options):
    command = ["gdcmscu", *options, "--call", "PUMUA", "--aetitle", "GDCM", "-H", "127.0.0.1", "-p", str(server.port)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=serving.PATIENCE)
    assert done.returncode == 0 or (done.returncode == -signal.SIGABRT and KNOWN in done.stdout), done


def main():
    program, model = sys.argv[1:]
    with serving.folder() as folder:
        files = folder / "files"
        files.mkdir()
        films = serving.films(program, folder, FILMS)
        for number, film in enumerate(films):
            film.save_as(files / f"{number}.dcm", enforce_file_format=True)
        with serving.Serving(program, folder / "store", model) as server:
            # What it says itself is no proof, so the page is asked.
            gdcmscu(server, "--echo")
            server.says("C-ECHO of GDCM answered")
            gdcmscu(server, "--store", "-i", str(files / "0.dcm"))
            server.says("received 1 from GDCM, 0 of them here already")
            gdcmscu(server, "--store", "-r", "-i", str(files))
            server.says("1 of them here already")
            verdicts = server.agrees(films)
    print(f"C-ECHO and {FILMS} films by gdcmscu: {verdicts}")


if __name__ == "__main__":
    main()
