// Small helpers for text: printf into a string, numbers and fields of a line, whole files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace wlm::bench {

// printf into a std::string.
[[gnu::format(printf, 1, 2)]] std::string Text(const char* format, ...);

std::vector<std::string> Split(std::string_view line, char separator);

// Without leading and trailing blanks and newlines.
std::string Trim(std::string_view text);

// Raises std::runtime_error if the file cannot be read or written.
std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, const std::string& content);

// "1.2 GB", "340 MB", "12 kB".
std::string Bytes(double bytes);

// A JSON string literal with its quotes.
std::string JsonText(std::string_view text);

// A JSON number; null for what is none.
std::string JsonNumber(double value);

}  // namespace wlm::bench
