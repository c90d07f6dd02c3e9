"""A Hugging Face Hub of this machine, as far as the real client asks.

    python hub_server.py FOLDER

prints its port and serves the datasets below FOLDER:

    OWNER/NAME/refs.json          {"main": COMMIT, "refs/convert/parquet": ...}
    OWNER/NAME/COMMIT/...         the files of that commit
    OWNER/NAME/gated              if it exists, files need a token (401)
    drops.json                    {file name: how many of its downloads break
                                  off}; -1 breaks all of them
    requests.log                  one line a request: method, path, range

An answer that breaks off has the length of the whole and nine tenths of it.
"""

import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

LOCK = threading.Lock()


class Refused(Exception):
    """An answer other than 200: status, the Hub's code, words."""


class Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root: Path

    def do_GET(self):
        size = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(size).decode()
        asked = self.headers.get("Range", "")
        with LOCK, (self.root / "requests.log").open("a") as log:
            log.write(f"{self.command} {self.path} {asked}".rstrip() + "\n")
        try:
            parts = urlsplit(self.path).path.strip("/").split("/")
            self.answer([unquote(part) for part in parts])
        except Refused as refused:
            status, code, words = refused.args
            self.send(status, json.dumps({"error": words}).encode(),
                      {"X-Error-Code": code, "X-Error-Message": words})

    do_HEAD = do_POST = do_GET

    def answer(self, parts):
        if parts[:2] == ["api", "datasets"]:
            repo, verb, rest = self.repo(parts[2:4]), parts[4:5], parts[5:]
            commit = self.commit(repo, *rest[:1])
            folder = repo / commit
            if verb in ([], ["revision"]):
                self.send_json({
                    "id": "/".join(parts[2:4]), "sha": commit, "tags": [],
                    "private": False, "gated": (repo / "gated").exists(),
                    "downloads": 0, "likes": 0, "siblings": [
                        {"rfilename": path["path"]}
                        for path in self.listing(folder, folder, True)]})
            elif verb == ["tree"]:
                inside = folder.joinpath(*rest[1:])
                if not inside.is_dir():
                    raise Refused(404, "EntryNotFound", "Entry not found")
                query = parse_qs(urlsplit(self.path).query)
                deep = query.get("recursive", [""])[0].lower() == "true"
                self.send_json(self.listing(folder, inside, deep))
            elif verb == ["paths-info"]:
                form = json.loads(self.body) if self.body[:1] == "{" \
                    else parse_qs(self.body)
                self.send_json([self.entry(folder, folder / path)
                                for path in form["paths"]
                                if (folder / path).exists()])
        elif parts[:1] == ["datasets"] and parts[3:4] == ["resolve"]:
            repo = self.repo(parts[1:3])
            commit = self.commit(repo, parts[4])
            path = repo.joinpath(commit, *parts[5:])
            if (repo / "gated").exists():
                raise Refused(401, "GatedRepo", "Access is restricted")
            if not path.is_file():
                raise Refused(404, "EntryNotFound", "Entry not found")
            self.send_file(path, commit)
        else:
            raise Refused(404, "", "no such page")

    def repo(self, parts):
        repo = self.root.joinpath(*parts)
        if len(parts) != 2 or not (repo / "refs.json").is_file():
            raise Refused(404, "RepoNotFound", "Repository not found")
        return repo

    def commit(self, repo, revision="main"):
        commit = json.loads((repo / "refs.json").read_text()).get(revision)
        if not commit and not (repo / revision).is_dir():
            raise Refused(404, "RevisionNotFound",
                          f"Invalid rev id: {revision}")
        return commit or revision

    def listing(self, folder, inside, deep):
        found = inside.rglob("*") if deep else inside.iterdir()
        return [self.entry(folder, path) for path in sorted(found)]

    def entry(self, folder, path):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            return {"type": "directory", "oid": "0" * 40, "size": 0,
                    "path": name}
        size, digest = path.stat().st_size, checksum(path)
        return {"type": "file", "oid": digest[:40], "size": size,
                "path": name, "lfs": {"oid": digest, "size": size,
                                      "pointerSize": 134}}

    def send_file(self, path, commit):
        data, whole = path.read_bytes(), path.stat().st_size
        headers = {"ETag": f'"{checksum(path)}"', "X-Repo-Commit": commit,
                   "X-Linked-Size": str(whole), "Accept-Ranges": "bytes",
                   "X-Linked-Etag": f'"{checksum(path)}"'}
        status, asked = 200, self.headers.get("Range")
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start = int(first) if first else max(0, whole - int(last))
            stop = min(int(last) + 1, whole) if first and last else whole
            status, data = 206, data[start:stop]
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{whole}"
        self.send(status, data, headers, broken=self.command == "GET"
                  and self.breaks(path.name))

    def breaks(self, name):
        plan = self.root / "drops.json"
        with LOCK:
            drops = json.loads(plan.read_text()) if plan.exists() else {}
            left = drops.get(name, 0)
            if left > 0:
                plan.write_text(json.dumps(drops | {name: left - 1}))
        return left != 0

    def send_json(self, value):
        self.send(200, json.dumps(value).encode(), {})

    def send(self, status, data, headers, broken=False):
        self.send_response(status)
        headers.setdefault("Content-Type", "application/json")
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if broken:
            self.wfile.write(data[:len(data) * 9 // 10])
            self.close_connection = True
        elif self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *arguments):
        pass


def checksum(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    Hub.root = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    print(server.server_port, flush=True)
    server.serve_forever()
