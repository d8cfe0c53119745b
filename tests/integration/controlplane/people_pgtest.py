"""People, organizations and what the API promises to every client."""

import base64
import concurrent.futures
import hashlib
import hmac
import json
import os
import pathlib
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from devtools.process import PATIENCE_S, wait_until
from tests.integration.controlplane.harness import ApiError, BINARIES, PASSWORD, PlaneTest


def code(secret, offset=0):
    key = base64.b32decode(secret)
    mac = hmac.new(key, struct.pack(">Q", int(time.time()) // 30 + offset), hashlib.sha1).digest()
    at = mac[19] & 15
    return f"{(struct.unpack('>I', mac[at:at + 4])[0] & 0x7fffffff) % 1000000:06}"


class People(PlaneTest):
    def test_init_again_changes_nothing(self):
        self.assertIn("already initialised", self.plane.init())
        self.assertIn("made the first owner", self.plane.init_output)
        pem = (self.plane.data / "platform-ca.pem").read_text()
        key = subprocess.run(["openssl", "x509", "-pubkey", "-noout"], input=pem, check=True, capture_output=True,
                             text=True).stdout
        digest = hashlib.sha256(base64.b64decode("".join(key.splitlines()[1:-1]))).hexdigest()
        shown = "SHA-256 of its key: " + ":".join(digest[i:i + 2] for i in range(0, 64, 2))
        self.assertIn(shown, self.plane.init_output)
        self.assertIn(shown, self.plane.init())
        for secret in ("platform-ca.key", "server.pem", "secrets.kek"):
            self.assertEqual((self.plane.data / secret).stat().st_mode & 0o777, 0o600)

    def test_login_logout_whoami(self):
        api = self.plane.login("OWNER ")
        self.assertEqual(api.get("/v1/auth/whoami")["login"], "owner")
        api.post("/v1/auth/logout")
        self.refused(401, "unauthorized", api.get, "/v1/auth/whoami")
        self.refused(401, "unauthorized", self.plane.login, "owner", "wrong password")
        self.refused(401, "unauthorized", self.plane.login, "nobody", "wrong password")
        self.refused(401, "unauthorized", self.plane.api("rapses1.x").get, "/v1/clusters")
        self.refused(401, "unauthorized", self.plane.api().get, "/v1/clusters")

    def test_tokens_and_passwords_are_not_in_the_database(self):
        dump = self.plane.admin_sql("select row_to_json(s) from auth_sessions s union all select row_to_json(u) from users u")
        self.assertNotIn(self.owner.token, dump)
        self.assertNotIn(PASSWORD, dump)
        self.assertIn("$argon2id$v=19$m=19456,t=2,p=1$", dump)

    def account(self, **more):
        """(login, id, a client that is logged in)"""
        api = self.person(**more)
        me = api.get("/v1/auth/whoami")
        return me["login"], me["id"], api

    def told(self, kind, subject):
        return [e for e in self.owner.items("/v1/clusters/platform/audit-events")
                if (e["kind"], e["subject"]) == (kind, subject)]

    def test_a_person_sees_and_ends_their_logins_and_an_owner_anybodys(self):
        login, user, first = self.account()
        second, third = self.plane.login(login), self.plane.login(login)
        mine = first.items("/v1/auth/tokens")
        self.assertEqual([t["current"] for t in mine], [True, False, False])
        self.assertEqual({(t["user_id"], t["address"]) for t in mine}, {(user, "127.0.0.1")})
        self.assertEqual([t["id"] for t in self.owner.items(f"/v1/users/{user}/tokens")], [t["id"] for t in mine])
        page = first.get("/v1/auth/tokens?limit=2")
        self.assertEqual(len(first.get(f"/v1/auth/tokens?cursor={page['next_cursor']}")["items"]), 1)
        first.delete(f"/v1/tokens/{mine[1]['id']}")
        self.refused(401, "unauthorized", second.get, "/v1/auth/whoami")
        self.refused(404, "not_found", first.delete, f"/v1/tokens/{mine[1]['id']}")
        other = self.account()[2]
        self.refused(404, "not_found", other.delete, f"/v1/tokens/{mine[2]['id']}")
        self.refused(403, "forbidden", other.get, f"/v1/users/{user}/tokens")
        self.refused(403, "forbidden", other.delete, f"/v1/users/{user}/tokens")
        self.owner.delete(f"/v1/tokens/{mine[2]['id']}")
        self.refused(401, "unauthorized", third.get, "/v1/auth/whoami")
        self.assertEqual(len(self.told("user.token_revoked", user)), 2)
        self.plane.login(login)
        self.assertEqual(self.owner.delete(f"/v1/users/{user}/tokens"), {"count": 2})
        self.refused(401, "unauthorized", first.get, "/v1/auth/whoami")
        self.assertEqual(self.owner.items(f"/v1/users/{user}/tokens"), [])
        self.assertEqual(self.told("user.tokens_revoked", user)[0]["detail"], {"count": 2})
        self.refused(404, "not_found", self.owner.get, f"/v1/users/{user[:-3]}zzz/tokens")

    def test_a_person_changes_their_password_and_their_other_logins_end(self):
        login, user, here = self.account()
        elsewhere = self.plane.login(login)
        change = lambda old, new: here.post("/v1/auth/password", {"old_password": old, "new_password": new})
        self.refused(403, "forbidden", change, "not the old one", "another good password")
        self.refused(400, "invalid", change, PASSWORD, "short")
        self.assertIn("is the old one", self.refused(400, "invalid", change, PASSWORD, PASSWORD)["detail"])
        self.assertEqual(elsewhere.get("/v1/auth/whoami")["id"], user)
        self.assertEqual(change(PASSWORD, "another good password"), {"count": 1})
        self.assertEqual(here.get("/v1/auth/whoami")["id"], user)
        self.refused(401, "unauthorized", elsewhere.get, "/v1/auth/whoami")
        self.refused(401, "unauthorized", self.plane.login, login, PASSWORD)
        self.plane.login(login, "another good password")
        self.assertEqual((len(self.told("user.password_changed", user)), len(self.told("user.password_refused", user))), (1, 1))
        for _ in range(10):
            self.refused(403, "forbidden", change, "a wrong guess", "another good password")
        self.refused(429, "exhausted", change, "another good password", PASSWORD)

    def test_an_owner_resets_a_password(self):
        login, user, api = self.account()
        path = f"/v1/users/{user}/password"
        self.refused(403, "forbidden", api.post, path, {"password": "taken by a member"})
        self.assertEqual(self.owner.post(path, {"password": "given by the owner"}), {"count": 1})
        self.refused(401, "unauthorized", api.get, "/v1/auth/whoami")
        self.refused(401, "unauthorized", self.plane.login, login)
        self.plane.login(login, "given by the owner")
        self.assertEqual(len(self.told("user.password_reset", user)), 1)
        me = self.owner.get("/v1/auth/whoami")["id"]
        own = self.refused(409, "conflict", self.owner.post, f"/v1/users/{me}/password", {"password": "without the old one"})
        self.assertIn("rapctl password change", own["detail"])
        self.refused(404, "not_found", self.owner.post, f"/v1/users/{user[:-3]}zzz/password", {"password": "of nobody at all"})

    def test_a_disabled_person_is_out_at_once_and_may_come_back(self):
        login, user, api = self.account()
        self.refused(403, "forbidden", api.post, f"/v1/users/{user}/disable")
        shown = self.owner.post(f"/v1/users/{user}/disable", {"reason": "lost laptop"})
        self.assertEqual(shown["status"], "disabled")
        self.assertEqual(self.owner.post(f"/v1/users/{user}/disable")["status"], "disabled")
        gone = self.refused(401, "unauthorized", api.get, "/v1/auth/whoami")
        self.assertNotIn("session", gone["detail"])  # that is something else
        self.refused(401, "unauthorized", self.plane.login, login)
        self.assertEqual(self.owner.post(f"/v1/users/{user}/enable")["status"], "active")
        self.refused(401, "unauthorized", api.get, "/v1/auth/whoami")  # the old token stays dead
        self.plane.login(login)
        told = self.told("user.disabled", user)
        self.assertEqual([e["detail"] for e in told], [{"reason": "lost laptop"}])
        self.assertEqual(len(self.told("user.enabled", user)), 1)
        me = self.owner.get("/v1/auth/whoami")["id"]
        self.refused(409, "conflict", self.owner.post, f"/v1/users/{me}/disable")

    def rapctl(self, api, *arguments, typed=""):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.plane.folder))
        (folder / "token").touch(mode=0o600)
        (folder / "token").write_text(api.token)
        return subprocess.run([BINARIES / "rapctl", "--server", self.plane.url, "--ca-file",
                               self.plane.data / "platform-ca.pem", *arguments], input=typed, text=True,
                              capture_output=True, timeout=PATIENCE_S,
                              env={**os.environ, "HOME": str(folder), "RAP_TOKEN_FILE": str(folder / "token")})

    def test_the_same_with_rapctl(self):
        login, user, api = self.account()
        done = lambda *a, **m: (lambda r: self.assertEqual(r.returncode, 0, r.stderr) or r.stdout)(self.rapctl(*a, **m))
        old, new = self.plane.folder / "old", self.plane.folder / "new"
        old.write_text(PASSWORD)
        new.write_text("a password from a file")
        mine = done(api, "token", "list")
        self.assertIn("ust_", mine)
        self.plane.login(login)
        self.assertIn("1 login ended", done(api, "password", "change", "--old-password-file", old, "--password-file", new))
        self.assertEqual(self.rapctl(api, "password", "change", "--old-password-file", old, "--password-file", new).returncode, 4)
        self.plane.login(login, "a password from a file")
        token = json.loads(done(self.owner, "-o", "json", "user", "tokens", login))[-1]["id"]
        self.assertIn("ended", done(self.owner, "token", "revoke", token))
        self.assertEqual(self.rapctl(self.owner, "token", "revoke", "x").returncode, 2)
        self.assertIn("1 login ended", done(self.owner, "user", "logout", login))
        self.assertEqual(self.rapctl(api, "whoami").returncode, 3)
        done(self.owner, "user", "reset-password", login, "--password-file", "-", typed="given by the owner\n")
        self.plane.login(login, "given by the owner")
        self.assertIn("is disabled", done(self.owner, "user", "disable", login, "--reason", "gone"))
        self.assertIn("disabled", next(l for l in done(self.owner, "user", "list").splitlines() if l.startswith(login + "\t")))
        self.refused(401, "unauthorized", self.plane.login, login, "given by the owner")
        done(self.owner, "user", "enable", login)
        self.plane.login(login, "given by the owner")

    def test_rapctl_names_nodes_and_organizations(self):
        cluster, organization = self.cluster(), self.organization()
        slug = next(o["slug"] for o in self.owner.items("/v1/organizations") if o["id"] == organization)
        node = self.node(cluster)
        role = self.owner.post(f"/v1/clusters/{cluster}/role-assignments", {
            "node_id": node.id, "role": "ssh-worker", "organization_id": organization})["id"]
        node.beat(workloads=[{"assignment_id": role, "role": "ssh-worker", "state": "running", "detail": "",
                              "version": "1"}])
        show = lambda: self.rapctl(self.owner, "node", "show", node.id).stdout
        wait_until(lambda: role in show(), "the workload in node show")
        self.assertIn(f"ssh-worker\t{slug}\trunning", show())
        listed = self.rapctl(self.owner, "role", "list", "--cluster", cluster)
        self.assertIn(f"ssh-worker\t{node.name}\t{slug}\trunning", listed.stdout, listed.stderr)

    def test_too_many_failures_are_refused_unseen(self):
        self.person()
        login = f"p-{PlaneTest.serial}"
        for _ in range(10):
            self.refused(401, "unauthorized", self.plane.login, login, "wrong password")
        self.refused(429, "exhausted", self.plane.login, login)
        self.plane.redis.flush()
        self.refused(429, "exhausted", self.plane.login, login)

    def test_guesses_at_the_same_time_are_counted_before_they_are_looked_at(self):
        self.person()
        login = f"p-{PlaneTest.serial}"
        def guess(_):
            try:
                self.plane.login(login, "wrong password")
            except ApiError as error:
                return error.status
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            said = list(pool.map(guess, range(40)))
        self.assertEqual((said.count(401), said.count(429)), (10, 30))

    def test_ten_wrong_codes_of_the_second_factor_are_all(self):
        person = self.person()
        login = f"p-{PlaneTest.serial}"
        secret = person.post("/v1/auth/totp")["secret"]
        person.post("/v1/auth/totp/confirm", {"code": code(secret, -1)})
        bad = next(c for c in ("000000", "111111", "222222", "333333")
                   if c not in {code(secret, i) for i in range(-2, 4)})
        wrong = [self.guess_code(login, bad) for _ in range(9)]
        # What is not a wrong code does not count: no code, and the right one.
        self.refused(401, "totp_required", self.plane.login, login)
        self.plane.login(login, totp=code(secret))
        wrong += [self.guess_code(login, bad) for _ in range(3)]
        self.assertEqual(wrong, [401] * 10 + [429] * 2)

    def guess_code(self, login, guess):
        try:
            self.plane.login(login, totp=guess)
        except ApiError as error:
            return error.status

    def test_totp_is_required_once_enrolled_and_not_replayed(self):
        person = self.person()
        login = f"p-{PlaneTest.serial}"
        secret = person.post("/v1/auth/totp")["secret"]
        self.refused(400, "invalid", person.post, "/v1/auth/totp/confirm", {"code": "000000" if code(secret) != "000000" else "111111"})
        person.post("/v1/auth/totp/confirm", {"code": code(secret, -1)})
        self.refused(401, "totp_required", self.plane.login, login)
        used = code(secret)
        self.plane.login(login, totp=used)
        self.refused(401, "unauthorized", self.plane.login, login, totp=used)
        self.refused(409, "conflict", person.post, "/v1/auth/totp")

    def test_a_resource_that_nodes_would_not_read_is_refused(self):
        """An agent takes one document for all organizations of its node."""
        organization, cluster = self.organization(), self.cluster()
        admin = self.person(organization, "admin")
        path = f"/v1/organizations/{organization}/resources"
        good = {"name": "r", "protocol": "ssh", "cluster_id": cluster, "target": {"host": "h", "port": 22}, "options": {}}
        nested = lambda levels: {"a": nested(levels - 1)} if levels > 1 else {}
        for changes in ({"options": {"x": "x" * 16384}}, {"options": nested(9)},
                        {"target": {"host": "h", "port": 22, "more": "x" * 100_000}},
                        {"target": {"host": "a\nb", "port": 22}}):
            self.refused(400, "invalid", admin.post, path, {**good, **changes})
        made = admin.post(path, {**good, "options": {"x": "x" * 16000, "y": nested(7)}})
        self.refused(400, "invalid", admin.patch, f"/v1/resources/{made['id']}", {"options": nested(9)})
        more = lambda count, size: self.plane.admin_sql(
            "insert into resources (id, organization_id, cluster_id, name, protocol, target, options) "
            f"select 'res_' || gen_random_uuid(), '{organization}', '{cluster}', 'n' || gen_random_uuid(), 'ssh', '{{}}', "
            f"jsonb_build_object('x', repeat('x', {size})) from generate_series(1, {count})")
        more(64, 16000)
        self.assertIn("1 MiB", self.refused(409, "conflict", admin.post, path,
                                            {**good, "name": "s", "options": {"x": "x" * 16000}})["detail"])
        self.plane.admin_sql(f"delete from resources where name like 'n%' and organization_id = '{organization}'")
        more(999, 1)
        self.assertIn("1000", self.refused(409, "conflict", admin.post, path, {**good, "name": "s"})["detail"])
        admin.patch(f"/v1/resources/{made['id']}", {"options": {}})

    def test_nul_is_refused_and_a_backslash_is_none(self):
        name = "C:\\u0000 is no NUL"
        slug = self.slug("o")
        self.assertEqual(self.owner.post("/v1/organizations", {"name": name, "slug": slug})["name"], name)
        for body in ({"name": "a\0b", "slug": self.slug("o")}, {"name": "a", "slug": "b", "x": [{"\0": 1}]}):
            self.assertEqual(self.owner.raw("POST", "/v1/organizations", body)[0], 400)

    def test_verifying_a_chain_waits_for_no_lock(self):
        cluster = self.cluster()
        with self.plane.transaction(f"select 1 from audit_chains where chain_id = '{cluster}' for update"):
            self.assertTrue(self.owner.get(f"/v1/clusters/{cluster}/audit-events/verify")["valid"])

    def test_other_organizations_do_not_exist(self):
        mine, theirs = self.organization(), self.organization()
        cluster = self.cluster()
        me, them = self.person(mine, "admin"), self.person(theirs, "admin")
        resource = them.post(f"/v1/organizations/{theirs}/resources", {
            "name": "r", "protocol": "ssh", "cluster_id": cluster, "target": {"host": "h", "port": 22}, "options": {}})
        secret = them.post(f"/v1/organizations/{theirs}/secrets", {"name": "s", "value": "v"})
        self.assertNotIn("value", secret)
        made_up = resource["id"][:-1] + ("0" if resource["id"][-1] != "0" else "1")
        for path in (f"/v1/resources/{resource['id']}", f"/v1/resources/{made_up}", f"/v1/organizations/{theirs}",
                     f"/v1/organizations/{theirs}/resources", f"/v1/organizations/{theirs}/secrets",
                     f"/v1/organizations/{theirs}/audit-events", f"/v1/organizations/{theirs}/memberships"):
            self.assertEqual(self.refused(404, "not_found", me.get, path)["detail"], "no such thing, or not yours to see")
        self.refused(404, "not_found", me.delete, f"/v1/secrets/{secret['id']}")
        session = {"resource_id": resource["id"], "client_certificate_sha256": "0" * 64}
        one = self.refused(404, "not_found", me.post, "/v1/sessions", session)
        two = self.refused(404, "not_found", me.post, "/v1/sessions", {**session, "resource_id": made_up})
        # The same words but for what the caller asked for.
        named = lambda problem, asked: {**problem, "detail": problem["detail"].replace(asked, "it")}
        self.assertEqual(named(one, resource["id"]), named(two, made_up))
        self.refused(403, "forbidden", me.get, "/v1/clusters")
        self.assertEqual([o["id"] for o in me.items("/v1/organizations")], [mine])

    def test_members_see_names_only_and_admins_may(self):
        organization, cluster = self.organization(), self.cluster()
        admin, member = self.person(organization, "admin"), self.person(organization)
        body = {"name": "r", "protocol": "ssh", "cluster_id": cluster, "target": {"host": "h", "port": 22}, "options": {}}
        made = admin.post(f"/v1/organizations/{organization}/resources", body)
        self.assertEqual(set(member.get(f"/v1/resources/{made['id']}")), {"id", "organization_id", "name", "protocol"})
        self.refused(403, "forbidden", member.post, f"/v1/organizations/{organization}/resources", {**body, "name": "x"})
        self.refused(409, "conflict", admin.post, f"/v1/organizations/{organization}/resources", body)
        self.refused(403, "forbidden", member.get, f"/v1/organizations/{organization}/audit-events")
        events = admin.items(f"/v1/organizations/{organization}/audit-events")
        self.assertIn("resource.created", [e["kind"] for e in events])
        self.assertEqual([e["id"] for e in events if "seq" in e or "chain" in e], [])  # they tell how much others do
        self.assertEqual({e["chain"] for e in self.owner.items(f"/v1/organizations/{organization}/audit-events")},
                         {"platform", cluster})

    def test_a_login_is_what_can_be_typed_and_told_apart(self):
        make = lambda login: self.owner.post("/v1/users", {"login": login, "display_name": "P", "password": PASSWORD})
        for bad in ("a b", "-a", "@a", "a'b", "a$b", "a/b", "\u043elga", "a\u200bb", "   "):
            problem = self.refused(400, "invalid", make, bad)
            self.assertIn("login: 1 to 100 of a-z, 0-9, '.', '_', '-', '+' and '@', a letter or digit first",
                          problem["detail"], bad)
        name = self.slug("p")
        self.assertEqual(make(f" {name.upper()}.x_y+z@example.org ")["login"], f"{name}.x_y+z@example.org")

    def test_an_admin_needs_neither_ids_of_people_nor_the_list_of_clusters(self):
        organization = self.organization()
        admin = self.person(organization, "admin")
        path = f"/v1/organizations/{organization}/memberships"
        login, user, _ = self.account()
        add = lambda login: admin.post(path, {"login": login, "role": "member"})
        self.assertEqual(add(f" {login.upper()} ")["user_id"], user)
        self.assertEqual(add(login)["user_id"], user)
        self.refused(400, "invalid", admin.post, path, {"role": "member"})
        self.refused(400, "invalid", admin.post, path, {"login": login, "user_id": user, "role": "member"})
        self.refused(400, "invalid", admin.post, path, {"login": login, "role": "king"})
        self.refused(404, "not_found", self.account()[2].post, path, {"login": login, "role": "member"})
        self.owner.post(f"/v1/users/{user}/disable")
        self.refused(400, "invalid", add, login)
        self.owner.post(f"/v1/users/{user}/enable")
        for i in range(9):
            self.refused(400, "invalid", add, f"nobody-{i}")
        self.refused(429, "exhausted", add, "nobody-9")
        self.refused(429, "exhausted", add, login)  # no difference for who guesses
        self.assertEqual(admin.post(path, {"user_id": user, "role": "admin"})["role"], "admin")
        self.assertEqual(self.owner.post(path, {"login": login, "role": "member"})["role"], "member")
        refused = [e for e in self.owner.items(f"/v1/organizations/{organization}/audit-events")
                   if e["kind"] == "membership.refused"]
        self.assertEqual([e["detail"] for e in refused], [{}] * 10)  # what was typed may have been a password

    def test_who_is_a_member_already_keeps_the_role_that_nobody_names(self):
        organization = self.organization()
        path = f"/v1/organizations/{organization}/memberships"
        login, user, _ = self.account()

        def rapctl(*words):
            done = self.rapctl(self.owner, "membership", *words, "--organization", organization)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout

        self.assertIn(f"{login} is member (mem_", rapctl("add", login))
        self.assertIn(f"{login} was member, is admin now (mem_", rapctl("add", login, "--role", "admin"))
        self.assertIn(f"{login} is admin (mem_", rapctl("add", login))
        made = self.owner.post(path, {"login": login})
        self.assertEqual((made["role"], made.get("previous_role")), ("admin", None))
        made = self.owner.post(path, {"user_id": user, "role": "member"})
        self.assertEqual((made["role"], made["previous_role"]), ("member", "admin"))
        changed = [e["detail"] for e in self.owner.items(f"/v1/organizations/{organization}/audit-events")
                   if e["kind"] == "membership.changed"]
        self.assertEqual([(d["previous_role"], d["role"]) for d in changed], [("member", "admin"), ("admin", "member")])
        self.assertEqual(rapctl("remove", login), f"removed {login}\n")
        self.assertNotIn(user, [m["user_id"] for m in self.owner.items(path)])
        done = self.rapctl(self.owner, "membership", "remove", login, "--organization", organization)
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn(f"no membership is called '{login}'", done.stderr)
        self.assertEqual(self.owner.post(path, {"user_id": user})["role"], "member")
        member = self.owner.items(path)[-1]["id"]
        self.assertEqual(rapctl("remove", member), f"removed {member}\n")

    def test_who_becomes_admin_meanwhile_stays_one(self):
        organization = self.organization()
        login, user, _ = self.account()
        made = []
        adds = threading.Thread(target=lambda: made.append(
            self.owner.post(f"/v1/organizations/{organization}/memberships", {"login": login})))
        with self.plane.transaction("insert into memberships (id, organization_id, user_id, role) values "
                                    f"('mem_{'0' * 26}', '{organization}', '{user}', 'admin')"):
            adds.start()
            wait_until(self.plane.waits_for_a_lock, "it waits for the other one")
        adds.join()
        self.assertEqual(made[0]["role"], "admin")

    def test_an_admin_without_a_cluster_is_told_which_audit_log_is_theirs(self):
        organization = self.organization()
        admin = self.person(organization, "admin")
        done = self.rapctl(admin, "audit", "list")
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("rapctl audit list --organization NAME", done.stderr)
        done = self.rapctl(admin, "audit", "list", "--organization", organization)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_an_admin_adds_a_resource_where_there_is_one_cluster(self):
        organization = self.organization()
        admin = self.person(organization, "admin")
        self.cluster(), self.cluster()
        resources = f"/v1/organizations/{organization}/resources"
        body = {"name": "r", "protocol": "ssh", "target": {"host": "h", "port": 22}}
        problem = self.refused(400, "invalid", admin.post, resources, body)
        self.assertIn("several clusters", problem["detail"])
        only = self.owner.items("/v1/clusters")[0]["id"]
        self.plane.admin_sql(f"update clusters set status = 'archived' where id <> '{only}'")
        try:
            done = self.rapctl(admin, "resource", "create", "--name", "r", "--target", "h:22")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(admin.items(resources)[0]["cluster_id"], only)
        finally:
            self.plane.admin_sql("update clusters set status = 'active'")

    def test_resources_and_memberships_change_and_go(self):
        organization, cluster = self.organization(), self.cluster()
        admin = self.person(organization, "admin")
        secret = admin.post(f"/v1/organizations/{organization}/secrets", {"name": "s", "value": "v"})["id"]
        path = "/v1/resources/" + admin.post(f"/v1/organizations/{organization}/resources", {
            "name": "r", "protocol": "ssh", "cluster_id": cluster, "target": {"host": "h", "port": 22},
            "secret_ref": secret})["id"]
        self.refused(412, "conflict", admin.call, "PATCH", path, {"name": "q"}, {"If-Match": '"7"'})
        changed = admin.call("PATCH", path, {"name": "q", "target": {"host": "i", "port": 23}}, {"If-Match": '"1"'})
        self.assertEqual((changed["name"], changed["target"]["port"], changed["secret_ref"]), ("q", 23, secret))
        self.refused(409, "conflict", admin.delete, f"/v1/secrets/{secret}")
        admin.call("PATCH", path, {"secret_ref": None}, {"If-Match": '"2"'})
        admin.delete(f"/v1/secrets/{secret}")
        admin.delete(path)
        self.refused(404, "not_found", admin.get, path)
        members = admin.items(f"/v1/organizations/{organization}/memberships")
        mine = next(m for m in members if m["user_id"] == admin.get("/v1/auth/whoami")["id"])
        self.owner.post(f"/v1/organizations/{organization}/memberships", {"user_id": mine["user_id"], "role": "member"})
        self.refused(403, "forbidden", admin.delete, f"/v1/memberships/{mine['id']}")
        self.owner.delete(f"/v1/memberships/{mine['id']}")
        self.refused(404, "not_found", admin.get, f"/v1/organizations/{organization}")

    def test_row_level_security_without_a_predicate(self):
        one, two = self.organization(), self.organization()
        for organization in (one, two):
            self.owner.post(f"/v1/organizations/{organization}/secrets", {"name": "s", "value": "v"})
        look = "select organization_id from secrets"
        self.assertIn("unrecognized configuration parameter", self.plane.app_sql(look)[1])
        scoped = f"begin; set local rap.organization_id = '{one}'; {look}; commit;"
        self.assertEqual(self.plane.app_sql(scoped), (True, one))
        after = f"begin; set local rap.organization_id = '{one}'; commit; {look}"
        self.assertEqual(self.plane.app_sql(after), (True, ""))
        write = (f"begin; set local rap.organization_id = '{one}'; insert into secrets (id, organization_id, name, "
                 f"sealed_value, created_by_user_id) select 'sec_x', '{two}', 'x', '', id from users limit 1; commit;")
        self.assertIn("row-level security", self.plane.app_sql(write)[1])
        for change in ("update cluster_audit_events set kind = 'x'", "delete from cluster_audit_events",
                       "alter table secrets disable row level security", "drop table secrets",
                       "update schema_migrations set name = 'x'"):
            self.assertFalse(self.plane.app_sql("set rap.organization_id = '*'; " + change)[0], change)


if __name__ == "__main__":
    unittest.main()
