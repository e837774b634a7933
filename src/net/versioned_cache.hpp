// SPDX-License-Identifier: MIT
// A small, bounded, thread-safe cache of objects built from files. An entry is good while the
// files it was built from are unchanged; the least recently used one makes room.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <utility>

namespace nopoll::net {

// Key: what was asked for. Version: state of the files. Both comparable with ==. Values are
// released with no lock held.
template <class Key, class Version, class Value>
class VersionedCache {
public:
    explicit VersionedCache(std::size_t most) : most_(most) {}

    // Null when there is no entry of this version; an entry of another version is dropped.
    [[nodiscard]] std::shared_ptr<Value> find(const Key& key, const Version& version) {
        std::list<Entry> dropped;  // declared before the lock: emptied after it is gone
        const std::lock_guard lock(mutex_);
        for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
            if (!(entry->key == key)) continue;
            if (entry->settled && entry->version == version) {
                entries_.splice(entries_.begin(), entries_, entry);
                return entry->value;
            }
            dropped.splice(dropped.begin(), entries_, entry);
            return nullptr;
        }
        return nullptr;
    }

    // settled false: the entry is only kept until somebody asks for it again.
    void store(const Key& key, const Version& version, bool settled, std::shared_ptr<Value> value) {
        std::list<Entry> fresh, dropped;
        fresh.push_back({key, version, settled, std::move(value)});
        const std::lock_guard lock(mutex_);
        for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
            if (!(entry->key == key)) continue;
            dropped.splice(dropped.begin(), entries_, entry);
            break;
        }
        entries_.splice(entries_.begin(), fresh);
        if (entries_.size() > most_) dropped.splice(dropped.begin(), entries_, --entries_.end());
    }

    void clear() {
        std::list<Entry> dropped;  // emptied after the lock is gone
        const std::lock_guard lock(mutex_);
        dropped.swap(entries_);
    }

    [[nodiscard]] std::size_t size() const {
        const std::lock_guard lock(mutex_);
        return entries_.size();
    }

private:
    struct Entry {
        Key key;
        Version version;
        bool settled;
        std::shared_ptr<Value> value;
    };

    const std::size_t most_;
    mutable std::mutex mutex_;
    std::list<Entry> entries_;  // most recently used first
};

}  // namespace nopoll::net
