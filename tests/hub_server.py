"""A Hugging Face Hub of this machine, as far as the real client asks.

    python hub_server.py FOLDER

prints its port and serves the datasets and models below FOLDER:

    OWNER/NAME/refs.json          {"main": COMMIT, "refs/convert/parquet": ...}
    OWNER/NAME/COMMIT/...         the files of that commit
    OWNER/NAME/gated              if it exists, files need a token (401)
    drops.json                    {file name: how many of its downloads break
                                  off}; -1 breaks all of them
    slow.json                     {part of an address: manner}: "hang", or
                                  "headers" or "body", sent a byte at a time
    headers.json                  headers that files are given instead of
                                  the right ones
    names.json                    {file: what it is called in lists}
    requests.log                  one line a request: method, path, range

An answer that breaks off has the length of the whole and nine tenths of it.

Models can also be made and written to, by whoever has the token OWNER-token:

    OWNER/NAME/private            if it exists, only the owner sees it
    uploads/SHA256                large files, before a commit names them
"""

import base64
import contextlib
import hashlib
import itertools
import json
import sys
import threading
import time
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
        self.data = self.rfile.read(size)
        self.body = self.data.decode("utf-8", "replace")
        asked = self.headers.get("Range", "")
        with LOCK, (self.root / "requests.log").open("a") as log:
            log.write(f"{self.command} {self.path} {asked}".rstrip() + "\n")
        self.manner = next((manner for part, manner in self.plan(
            "slow.json").items() if part in self.path), None)
        if self.manner in ("hang", "headers"):
            self.drip(itertools.chain(b"HTTP/1.1 200 OK\r\nX-Slow: ",
                                      itertools.repeat(ord("a"))))
            return
        try:
            parts = urlsplit(self.path).path.strip("/").split("/")
            self.answer([unquote(part) for part in parts])
        except Refused as refused:
            status, code, words = refused.args
            self.send(status, json.dumps({"error": words}).encode(),
                      {"X-Error-Code": code, "X-Error-Message": words})

    def drip(self, data):
        """Send bytes one by one, until who waits for them is gone; of one
        that hangs, none."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            for byte in data:
                if self.manner != "hang":
                    self.wfile.write(bytes([byte]))
                time.sleep(0.1)

    def plan(self, name):
        path = self.root / name
        return json.loads(path.read_text()) if path.exists() else {}

    do_HEAD = do_POST = do_PUT = do_GET

    def answer(self, parts):
        if self.writes(parts):
            return
        if parts[2:3] == ["resolve"]:  # of a model
            parts = ["models", *parts]
        if parts[:1] == ["api"] and parts[1] in ("datasets", "models"):
            repo, verb, rest = self.repo(parts[2:4]), parts[4:5], parts[5:]
            commit = self.commit(repo, *rest[:1])
            folder = repo / commit
            if verb in ([], ["revision"]):
                self.send_json({
                    "id": "/".join(parts[2:4]), "sha": commit, "tags": [],
                    "private": (repo / "private").exists(),
                    "gated": (repo / "gated").exists(),
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
        elif parts[:1] in (["datasets"], ["models"]) \
                and parts[3:4] == ["resolve"]:
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

    def writes(self, parts):
        """Whether it was one of the requests that a `git push` would be."""
        if parts == ["api", "repos", "create"]:
            asked = json.loads(self.body)
            owner = asked["organization"]
            self.check(owner)
            repo, page = self.root / owner / asked["name"], \
                f"{self.address()}/{owner}/{asked['name']}"
            if repo.exists():
                self.send(409, json.dumps({"url": page, "error":
                          "You already created this model repo"}).encode(),
                          {})
                return True
            self.store(repo, {}, "0c" * 20)
            if asked.get("visibility") == "private" or asked.get("private"):
                (repo / "private").touch()
            self.send_json({"url": page})
        elif parts == ["api", "validate-yaml"]:
            _, fields, _ = json.loads(self.body)["content"].split("---\n", 2)
            if not all(": " in line or line.endswith(":") or line[:1] == "-"
                       for line in fields.splitlines()):
                raise Refused(400, "", "no fields")
            self.send_json({})
        elif parts[4:5] == ["preupload"]:
            self.check(parts[2])
            self.send_json({"files": [
                {"path": file["path"], "shouldIgnore": False,
                 "uploadMode": "lfs" if file["path"].endswith(".safetensors")
                 else "regular"} for file in json.loads(self.body)["files"]]})
        elif parts[2:] == ["info", "lfs", "objects", "batch"]:
            self.check(parts[0])
            self.send_json({"transfer": "basic", "objects": [
                file | {"actions": {"upload": {
                    "href": f"{self.address()}/uploads/{file['oid']}"}}}
                for file in json.loads(self.body)["objects"]]})
        elif parts[:1] == ["uploads"]:
            (self.root / "uploads").mkdir(exist_ok=True)
            if hashlib.sha256(self.data).hexdigest() != parts[1]:
                raise Refused(400, "", "these are other bytes")
            (self.root / "uploads" / parts[1]).write_bytes(self.data)
            self.send_json({})
        elif parts[4:5] == ["commit"]:
            self.check(parts[2])
            repo, files = self.repo(parts[2:4]), {}
            for line in map(json.loads, self.body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    files[value["path"]] = (self.root / "uploads"
                                            / value["oid"]).read_bytes()
            commit = hashlib.sha1(self.data).hexdigest()
            self.store(repo, files, commit)
            self.send_json({"commitOid": commit, "commitUrl":
                            f"{self.address()}/{'/'.join(parts[2:4])}"
                            f"/commit/{commit}"})
        else:
            return False
        return True

    def store(self, repo, files, commit):
        (repo / commit).mkdir(parents=True, exist_ok=True)
        for path, held in files.items():
            (repo / commit / path).write_bytes(held)
        (repo / "refs.json").write_text(json.dumps({"main": commit}))

    def check(self, owner):
        """Refuse whoever is not the owner, in the Hub's words."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if not token.endswith("-token"):
            raise Refused(401, "", "Invalid username or password.")
        if token != f"{owner}-token":
            raise Refused(403, "", "You don't have the rights to create a "
                          f"model under the namespace \"{owner}\"")

    def address(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def repo(self, parts):
        repo = self.root.joinpath(*parts)
        if len(parts) != 2 or not (repo / "refs.json").is_file():
            raise Refused(404, "RepoNotFound", "Repository not found")
        if (repo / "private").exists():
            self.check(parts[0])
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
        name = self.plan("names.json").get(name, name)
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
        headers |= self.plan("headers.json")
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
        with LOCK:
            drops = self.plan("drops.json")
            left = drops.get(name, 0)
            if left > 0:
                (self.root / "drops.json").write_text(
                    json.dumps(drops | {name: left - 1}))
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
            self.drip(data) if self.manner == "body" \
                else self.wfile.write(data)

    def log_message(self, *arguments):
        pass


def checksum(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    Hub.root = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    print(server.server_port, flush=True)
    server.serve_forever()
