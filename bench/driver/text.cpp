// See text.hpp.
#include "text.hpp"

#include <cstdarg>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace wlm::bench {

std::string Text(const char* format, ...) {
	va_list arguments;
	va_start(arguments, format);
	va_list again;
	va_copy(again, arguments);
	const int length = std::vsnprintf(nullptr, 0, format, arguments);
	va_end(arguments);
	std::string text(length > 0 ? static_cast<size_t>(length) : 0, '\0');
	if (length > 0)
		std::vsnprintf(text.data(), text.size() + 1, format, again);
	va_end(again);
	return text;
}

std::vector<std::string> Split(std::string_view line, char separator) {
	std::vector<std::string> fields;
	for (size_t start = 0;;) {
		const size_t end = line.find(separator, start);
		fields.emplace_back(line.substr(start, end - start));
		if (end == std::string_view::npos)
			return fields;
		start = end + 1;
	}
}

std::string Trim(std::string_view text) {
	const size_t first = text.find_first_not_of(" \t\r\n");
	if (first == std::string_view::npos)
		return {};
	return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

std::string ReadFile(const std::string& path) {
	std::ifstream file(path, std::ios::binary);
	if (!file)
		throw std::runtime_error("cannot read " + path);
	std::ostringstream content;
	content << file.rdbuf();
	return content.str();
}

void WriteFile(const std::string& path, const std::string& content) {
	std::ofstream file(path, std::ios::binary);
	file << content;
	file.close();
	if (!file)
		throw std::runtime_error("cannot write " + path);
}

std::string Bytes(double bytes) {
	if (bytes >= 1e9)
		return Text("%.2f GB", bytes / 1e9);
	if (bytes >= 1e6)
		return Text("%.0f MB", bytes / 1e6);
	return Text("%.0f kB", bytes / 1e3);
}

std::string JsonText(std::string_view text) {
	std::string out = "\"";
	for (const char c : text) {
		if (c == '"' || c == '\\')
			out += '\\', out += c;
		else if (static_cast<unsigned char>(c) < 0x20)
			out += Text("\\u%04x", c);
		else
			out += c;
	}
	return out + '"';
}

std::string JsonNumber(double value) {
	return value - value == 0.0 ? Text("%.9g", value) : "null";
}

}  // namespace wlm::bench
