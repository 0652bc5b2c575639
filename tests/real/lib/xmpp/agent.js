/** The `User-Agent` of clients that are no apps: the gateway refuses those in another way. */
export const browserAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
