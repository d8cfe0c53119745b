// What every rap-sign command shares: where things are, how the person is asked, how it answers.
#pragma once

#include <string>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "signing/sign/key_store.hpp"
#include "signing/sign/release_repository.hpp"

namespace rap::sign {

struct Context {
  std::string repository;
  std::string keys;
  std::string passphrase_file;  // empty: $RAP_PASSPHRASE_FILE, then the terminal
  bool yes = false;
  bool json = false;
  RealClock clock;

  KeyStore key_store() const;
};

// The file's text without its last newline; `forbidden` when others may read it.
Result<Secret> read_passphrase_file(const std::string& path);

// Shows role, version, expiry and the SHA-256 of what is signed for every draft, then asks unless
// --yes. `cancelled` when the answer is no, or nobody can be asked.
Status confirm(const Context& context, const std::map<std::string, Draft>& drafts,
               const std::string& purpose);

// Signs with the keys that are here; publishes when every threshold is reached, else keeps the
// drafts in pending/ and says who is missing. The last step of every command that changes R.
Status sign_and_publish(const Context& context, Change& change, KeyStore& store,
                        const std::string& purpose);

// One result: `text` for people, `object` with -o json.
void answer(const Context& context, const std::string& text, const boost::json::object& object);

}  // namespace rap::sign
