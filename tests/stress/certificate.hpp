// SPDX-License-Identifier: MIT
// A self-signed certificate for 127.0.0.1 in a temporary folder that goes with the object.
#pragma once

#include <string>

namespace nopoll::stress {

class TestCertificate {
public:
    TestCertificate();
    ~TestCertificate();
    TestCertificate(const TestCertificate&) = delete;
    TestCertificate& operator=(const TestCertificate&) = delete;

    [[nodiscard]] std::string certificate() const { return folder_ + "/certificate.pem"; }
    [[nodiscard]] std::string key() const { return folder_ + "/key.pem"; }

private:
    std::string folder_;
};

}  // namespace nopoll::stress
