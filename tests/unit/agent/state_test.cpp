// Files of the agent's state: what a crash, a full disk or a flipped byte may do to them.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.hpp"
#include "host/agent/node/facts.hpp"
#include "host/agent/state/floor.hpp"
#include "host/agent/state/identity.hpp"
#include "host/agent/state/instance_record.hpp"
#include "host/agent/state/layout.hpp"
#include "host/agent/state/outbox.hpp"
#include "tests/unit/agent/full_disk.hpp"
#include "tests/unit/agent/temp_dir.hpp"

namespace rap::agent {
namespace {

std::string event(int n, const char* kind = "state") {
  return R"({"event_id":"e)" + std::to_string(n) + R"(","kind":")" + kind + "\"}";
}

TEST(Outbox, KeepsOrderOverARestart) {
  TempDir dir;
  {
    auto outbox = Outbox::open(dir.path(), 100);
    ASSERT_TRUE(outbox) << outbox.error().text();
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(outbox->append(event(i)));
    outbox->accepted(outbox->front(2).last);
  }
  auto again = Outbox::open(dir.path(), 100);
  ASSERT_TRUE(again);
  // Accepted ones may come again, in order; the control plane knows them.
  ASSERT_EQ(again->size(), 5u);
  EXPECT_EQ(again->front(1).events.front(), event(0));
  again->accepted(again->front(5).last);
  EXPECT_EQ(Outbox::open(dir.path(), 100)->size(), 0u);
}

TEST(Outbox, EveryCutLosesOnlyWhatWasNotAcknowledged) {
  TempDir dir;
  const std::string one = outbox_line(event(1));
  const std::string two = outbox_line(event(2));
  for (std::size_t cut = 0; cut <= two.size(); ++cut) {
    dir.write("events", one + two.substr(0, cut));
    auto outbox = Outbox::open(dir.path(), 100);
    ASSERT_TRUE(outbox);
    EXPECT_EQ(outbox->size(), cut == two.size() ? 2u : 1u) << cut;
    EXPECT_EQ(outbox->damaged(), 0u);
    // The next event is not glued to the torn one.
    ASSERT_TRUE(outbox->append(event(3)));
    auto again = Outbox::open(dir.path(), 100);
    EXPECT_EQ(again->front(9).events.back(), event(3)) << cut;
  }
}

TEST(Outbox, ADamagedLineIsSkippedAndCounted) {
  TempDir dir;
  std::string text = outbox_line(event(1)) + outbox_line(event(2)) + outbox_line(event(3));
  text[outbox_line(event(1)).size() + 15] ^= 1;
  dir.write("events", text);
  auto outbox = Outbox::open(dir.path(), 100);
  ASSERT_TRUE(outbox);
  EXPECT_EQ(outbox->size(), 2u);
  EXPECT_EQ(outbox->damaged(), 1u);
}

TEST(Outbox, WhenFullStateChangesStay) {
  TempDir dir;
  auto outbox = Outbox::open(dir.path(), 3);
  ASSERT_TRUE(outbox->append(event(1)));
  ASSERT_TRUE(outbox->append(event(2, "attached")));
  ASSERT_TRUE(outbox->append(event(3)));
  ASSERT_TRUE(outbox->append(event(4)));
  EXPECT_EQ(outbox->front(9).events, (std::vector<std::string>{event(1), event(3), event(4)}));
  EXPECT_EQ(outbox->dropped(), 1u);
}

std::string event_of(const std::string& session, int n, const char* kind = "state") {
  return R"({"event_id":"e)" + std::to_string(n) + R"(","session_id":")" + session +
         R"(","kind":")" + kind + "\"}";
}

TEST(Outbox, WhatWasNeverSentIsNotTakenForAccepted) {
  TempDir dir;
  auto outbox = Outbox::open(dir.path(), 3);
  for (int n = 1; n <= 3; ++n) ASSERT_TRUE(outbox->append(event(n)));
  const Outbox::Batch sent = outbox->front(2);
  ASSERT_TRUE(outbox->append(event(4)));  // while it is on its way: 1 makes room
  outbox->accepted(sent.last);
  EXPECT_EQ(outbox->front(9).events, (std::vector<std::string>{event(3), event(4)}));
}

TEST(Outbox, OneSessionDoesNotPushOutTheOthers) {
  TempDir dir;
  {
    auto outbox = Outbox::open(dir.path(), 40);
    ASSERT_TRUE(outbox->append(event_of("a", 0, "attached")));
    for (int n = 0; n < 200; ++n) ASSERT_TRUE(outbox->append(event_of("noisy", n)));
    EXPECT_EQ(outbox->size(), 40u);
    EXPECT_EQ(outbox->front(1).events.front(), event_of("a", 0, "attached"));
    EXPECT_EQ(outbox->front(40).events.back(), event_of("noisy", 199));
  }
  // Counted again from the file.
  auto again = Outbox::open(dir.path(), 40);
  for (int n = 200; n < 400; ++n) ASSERT_TRUE(again->append(event_of("noisy", n)));
  EXPECT_EQ(again->size(), 40u);
}

TEST(Outbox, TheFileDoesNotGrowWhileNothingIsAccepted) {
  TempDir dir;
  const std::string filler(10'000, 'x');
  {
    auto outbox = Outbox::open(dir.path(), 20);
    for (int n = 0; n < 1'000; ++n) ASSERT_TRUE(outbox->append(event_of("s", n, filler.c_str())));
    EXPECT_LT(std::filesystem::file_size(dir.path() / "events"), 2u << 20);
  }
  auto again = Outbox::open(dir.path(), 20);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->damaged(), 0u);
  EXPECT_EQ(again->front(1'000).events.back(), event_of("s", 999, filler.c_str()));
}

TEST(Outbox, AFileThatIsTooLongIsMovedAside) {
  TempDir dir;
  dir.write("events", outbox_line(event(1)));
  std::filesystem::resize_file(dir.path() / "events", (64u << 20) + 1);
  auto outbox = Outbox::open(dir.path(), 20);
  ASSERT_TRUE(outbox) << outbox.error().text();
  EXPECT_EQ(outbox->damaged(), 1u);
  EXPECT_TRUE(std::filesystem::exists(dir.path() / "events.damaged"));
  ASSERT_TRUE(outbox->append(event(2)));
  EXPECT_EQ(Outbox::open(dir.path(), 20)->size(), 1u);
}

TEST(Outbox, RefusesWhatWouldBreakTheFile) {
  TempDir dir;
  auto outbox = Outbox::open(dir.path(), 3);
  EXPECT_EQ(outbox->append("{\"a\":\n1}").error().code, Errc::invalid);
  EXPECT_EQ(outbox->append(std::string(17 * 1024, ' ')).error().code, Errc::too_large);
  EXPECT_EQ(outbox->size(), 0u);
}

TEST(Outbox, AFullDiskIsSaidAndNothingIsAdded) {
  TempDir dir;
  {
    auto outbox = Outbox::open(dir.path(), 9);
    ASSERT_TRUE(outbox->append(event(1)));
    {
      FullDisk full(std::filesystem::file_size(dir.path() / "events") + 5);  // half a line
      EXPECT_FALSE(outbox->append(event(2)));
      EXPECT_FALSE(outbox->append(event(2)));
    }
    EXPECT_EQ(outbox->size(), 1u);
    ASSERT_TRUE(outbox->append(event(3)));
  }
  auto again = Outbox::open(dir.path(), 9);
  EXPECT_EQ(again->front(9).events, (std::vector<std::string>{event(1), event(3)}));
  EXPECT_EQ(again->damaged(), 0u);
}

TEST(Outbox, HostileLines) {
  for (const char* bad : {"", "x", "00000000", "00000000 {}", "zzzzzzzz {}", "00000000\t{}"}) {
    EXPECT_FALSE(parse_outbox_line(bad)) << bad;
  }
}

Identity identity() {
  return {"nod_1", "cls_1", "https://cp", "pin", "KEY", "CERT", "CA", "{\"root\":1}"};
}

TEST(Identity, RoundTripAndPrivate) {
  TempDir dir;
  const auto path = dir.path() / "identity.json";
  ASSERT_TRUE(write_identity(path, identity()));
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  auto back = read_identity(path);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->director_root, "{\"root\":1}");
  EXPECT_EQ(back->key_pem, "KEY");
}

TEST(Identity, AFullDiskKeepsTheOldOneWhole) {
  TempDir dir;
  const auto path = dir.path() / "identity.json";
  ASSERT_TRUE(write_identity(path, identity()));
  Identity next = identity();
  next.certificate_pem = "RENEWED";
  {
    FullDisk full(10);
    EXPECT_FALSE(write_identity(path, next));
    EXPECT_FALSE(write_floor(dir.path() / "floor.json", {}));
  }
  EXPECT_EQ(read_identity(path)->certificate_pem, "CERT");
  EXPECT_EQ(read_floor(dir.path() / "floor.json")->authority_term, 0);
  const auto files = std::filesystem::directory_iterator(dir.path());
  EXPECT_EQ(std::distance(begin(files), end(files)), 1) << "no half file stays";
  ASSERT_TRUE(write_identity(path, next));
}

TEST(Identity, AbsentAndDamagedAreDifferentThings) {
  TempDir dir;
  EXPECT_EQ(read_identity(dir.path() / "none").error().code, Errc::not_found);
  const std::string good = serialize(identity());
  for (const std::string& bad : {std::string("{}"), good.substr(0, good.size() / 2),
                                 std::string("[1]"), std::string(2 << 20, ' ')}) {
    EXPECT_FALSE(parse_identity(bad));
  }
  Identity empty = identity();
  empty.key_pem.clear();
  EXPECT_FALSE(parse_identity(serialize(empty)));
}

TEST(Identity, PendingEnrollmentRoundTrip) {
  TempDir dir;
  ASSERT_TRUE(write_pending(dir.path() / "p", {"KEY", "https://cp", "jtk_1", "jrq_1"}));
  auto back = read_pending(dir.path() / "p");
  ASSERT_TRUE(back);
  EXPECT_EQ(back->join_request_id, "jrq_1");
  EXPECT_EQ(back->token_id, "jtk_1");
}

TEST(Floor, AbsentIsZeroDamagedIsAnError) {
  TempDir dir;
  EXPECT_EQ(*read_floor(dir.path() / "floor.json"), Floor{});
  Floor floor{7, {{"plugin.rap.ssh", 2}}, 1'790'000'000};
  ASSERT_TRUE(write_floor(dir.path() / "floor.json", floor));
  EXPECT_EQ(*read_floor(dir.path() / "floor.json"), floor);
  for (const char* bad : {"", "{}", "7", R"({"authority_term":-1})",
                          R"({"authority_term":1,"clock_unix_s":0,"security_epochs":[]})",
                          R"({"authority_term":1,"clock_unix_s":0,"security_epochs":{"p":-1}})"}) {
    EXPECT_FALSE(parse_floor(bad)) << bad;
  }
}

InstanceRecord record() {
  InstanceRecord out;
  out.name = "s-0abc";
  out.kind = InstanceKind::session;
  out.pid = static_cast<int>(::getpid());
  out.start_time = *process_start_time(::getpid());
  out.nonce = std::string(32, 'a');
  out.boot_id = "boot";
  out.session = "ses_1";
  return out;
}

TEST(InstanceRecord, RoundTrip) {
  InstanceRecord full = record();
  full.opened_unix_s = 1'700'000'000;
  full.joined = {{"rap.mesh.relay", std::string(64, 'a')}, {"rap.mesh.entry", ""}};
  for (std::size_t i = 0; i < kAttachedPeopleMax; ++i) {
    full.people.push_back({"att_" + std::to_string(i), std::string(256, 'u'),
                           std::string(256, '\x01'), "view", i % 2 == 0});
  }
  for (const InstanceRecord& each : {record(), full}) {
    auto back = parse_instance_record(serialize(each));
    ASSERT_TRUE(back) << back.error().text();
    EXPECT_EQ(*back, each);
  }
}

TEST(AttachedPeople, WhoIsPresentIsNotPushedOut) {
  AttachedPeople people;
  for (int n = 0; n < 1'000; ++n) {
    add_person(people, {"att_" + std::to_string(n), "u", "name", "view"});
    if (n < 3) mark_present(people, "att_" + std::to_string(n));
  }
  EXPECT_EQ(people.size(), kAttachedPeopleMax);
  EXPECT_NE(find_person(people, "att_1"), nullptr);
  EXPECT_NE(find_person(people, "att_999"), nullptr);
  EXPECT_EQ(find_person(people, "att_3"), nullptr);
  remove_person(people, "att_1");
  EXPECT_EQ(find_person(people, "att_1"), nullptr);
}

TEST(InstanceRecord, AReusedPidIsNotTheProcess) {
  EXPECT_TRUE(is_running(record(), "boot"));
  EXPECT_FALSE(is_running(record(), "another boot"));
  InstanceRecord other = record();
  ++other.start_time;
  EXPECT_FALSE(is_running(other, "boot"));
  other = record();
  other.pid = 0;
  EXPECT_FALSE(is_running(other, "boot"));
}

TEST(InstanceRecord, DamagedFilesAreMovedAsideNotFatal) {
  TempDir dir;
  InstanceRecords records(dir.path());
  ASSERT_TRUE(records.write(record()));
  dir.write("z-1.json", "{");
  dir.write("z-2.json", serialize(record()));  // names another file
  dir.write("ignored.txt", "");
  std::vector<std::string> damaged;
  const auto all = records.read_all(damaged);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(damaged.size(), 2u);
  records.remove(record().name);
  damaged.clear();
  EXPECT_TRUE(records.read_all(damaged).empty());
  EXPECT_TRUE(damaged.empty());
}

TEST(InstanceRecord, HostileRecords) {
  const std::string good = serialize(record());
  const auto with = [&](std::string_view what, std::string_view to) {
    std::string text = good;
    text.replace(text.find(what), what.size(), to);
    return text;
  };
  for (const std::string& bad :
       {with("s-0abc", "../../etc"), with("s-0abc", ""), with("s-0abc", "A"),
        with("session\"", "pilot\""), with(std::string(32, 'a'), "a"),
        with("\"joined\":{", "\"joined\":{\"a\":7"), with("\"pid\":", "\"pid\":-"),
        with("\"pid\":", "\"pit\":")}) {
    EXPECT_FALSE(parse_instance_record(bad)) << bad;
  }
}

TEST(StateLayout, WhatAKilledAgentLeftHalfWrittenGoes) {
  TempDir dir;
  const StateLayout state{dir.path() / "s"};
  const RunLayout run{dir.path() / "r"};
  const std::string digest(64, 'a');
  const std::vector<std::string> half{"s/store/aa/." + digest + ".Xy12zA",
                                      "s/tuf/release/.root.json.abcdef", "s/.floor.json.ABCDEF",
                                      "r/instances/.s-1.json.qwerty"};
  const std::vector<std::string> whole{"s/store/aa/" + digest,
                                       "s/tuf/release/root.json",
                                       "s/floor.json",
                                       "s/.hidden",
                                       "s/workloads/rol_1/org_1/.theirs.abcdef",
                                       "r/instances/s-1.json"};
  for (const auto& name : half) dir.write(name, "x");
  for (const auto& name : whole) dir.write(name, "x");
  EXPECT_EQ(remove_temporary_files(state, run), 4);
  for (const auto& name : half) EXPECT_FALSE(std::filesystem::exists(dir.path() / name)) << name;
  for (const auto& name : whole) EXPECT_TRUE(std::filesystem::exists(dir.path() / name)) << name;
  EXPECT_EQ(remove_temporary_files(state, run), 0);
}

TEST(Fence, AlwaysGrows) {
  TempDir dir;
  const auto path = dir.path() / "fence";
  EXPECT_EQ(*next_fence(path), 1);
  EXPECT_EQ(*next_fence(path), 2);
  dir.write("fence", "rubbish");
  EXPECT_GT(*next_fence(path), 1'000'000);
}

TEST(Layout, OneAgentPerState) {
  TempDir dir;
  const StateLayout state{dir.path() / "state"};
  const RunLayout run{dir.path() / "run"};
  ASSERT_TRUE(make_directories(state, run));
  auto first = lock_state(state);
  ASSERT_TRUE(first);
  EXPECT_EQ(lock_state(state).error().code, Errc::conflict);
  first->reset();
  EXPECT_TRUE(lock_state(state));
}

}  // namespace
}  // namespace rap::agent
