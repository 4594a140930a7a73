//! Four request heads of realistic sizes, from the short one of a load generator to one with many cookies.
//!
//! Results of two parsers are comparable only for the same heads.

/// The heads, with the names in the results.
pub const HEADS: [(&str, &str); 4] = [("ab", AB), ("wrk", WRK), ("browser", BROWSER), ("cookies", COOKIES)];

/// 82 bytes, three headers, HTTP/1.0.
pub const AB: &str = "GET / HTTP/1.0\r\n\
    Host: 127.0.0.1:8000\r\n\
    User-Agent: ApacheBench/2.3\r\n\
    Accept: */*\r\n\r\n";

/// 49 bytes, one header.
pub const WRK: &str = "GET /note.html HTTP/1.1\r\nHost: localhost:8000\r\n\r\n";

/// 570 bytes, 13 headers: a page's style sheet.
pub const BROWSER: &str = "GET /gallery/harbour_at_night/style_for_screens.css HTTP/1.1\r\n\
    Host: localhost:8000\r\n\
    Connection: keep-alive\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36\r\n\
    sec-ch-ua: \"Not;A=Brand\";v=\"8\", \"Chromium\";v=\"150\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    Accept: text/css,*/*;q=0.1\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: no-cors\r\n\
    Sec-Fetch-Dest: style\r\n\
    Referer: http://localhost:8000/gallery/harbour_at_night.html\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\r\n";

/// 974 bytes, 14 headers, most of them one long value.
pub const COOKIES: &str = "GET /basket/items?sort=newest&page=3 HTTP/1.1\r\n\
    Host: books.example.org\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:148.0) Gecko/20100101 Firefox/148.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Referer: https://books.example.org/basket\r\n\
    Connection: keep-alive\r\n\
    Cookie: id=3b1f0c7e9a5d48268c4e1b7f2a6d90c5e8f3472b6a1d0c9e5f8b7a4d3c2e1f06; \
    token=Zq8Lr2VxN5tYc0PbWm7KdHs4Jf1GuEa9; \
    basket=W3sic2t1IjoiOTc4MCIsIm4iOjF9LHsic2t1IjoiMTQwNSIsIm4iOjN9XQ; \
    visitor=V1.4.8102937465.1690000000; first=1690000000; font=serif; night=yes; \
    choices=necessary%3Dyes%26statistics%3Dno; variant=b; \
    last_visit=2026-03-14T15%3A09%3A26Z; zone=Europe%2FVienna; \
    looked_at=1405,9780,3127,66018,20774,9155,48231,70012; reading=dune%2Cp.%2011\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\r\n";
