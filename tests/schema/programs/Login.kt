// A login with the classes and the serializer that openapi-generator makes for Kotlin, without a
// hand edit. The requests are java.net.http's: those of the generated client are OkHttp's, which
// neither PyPI nor Debian 12 has. Says what it was told, one line of JSON after the other.

import java.net.URI
import java.net.http.HttpClient
import java.net.http.HttpRequest
import java.net.http.HttpResponse
import kotlinx.serialization.encodeToString
import org.openapitools.client.infrastructure.Serializer
import org.openapitools.client.models.*

val json = Serializer.kotlinxSerializationJson
val http: HttpClient = HttpClient.newHttpClient()

class Site(val url: String, val token: String? = null) {
    fun ask(method: String, path: String, body: String? = null): HttpResponse<String> {
        val publisher = body?.let(HttpRequest.BodyPublishers::ofString) ?: HttpRequest.BodyPublishers.noBody()
        val request = HttpRequest.newBuilder(URI(url + path)).method(method, publisher)
        if (body != null) request.header("Content-Type", "application/json")
        if (token != null) request.header("Authorization", "Token $token")
        return http.send(request.build(), HttpResponse.BodyHandlers.ofString())
    }

    inline fun <reified B, reified T> post(path: String, body: B): T =
        json.decodeFromString<T>(ask("POST", path, json.encodeToString(body)).body())

    inline fun <reified T> get(path: String): T = json.decodeFromString<T>(ask("GET", path).body())
}

// The generated serializer writes null where nothing is given, and the API takes none for a purpose.
fun ask(phone: String, purpose: CodePurpose? = null) = CodeRequest(phone, purpose = purpose)

inline fun <reified T> say(told: T) = println(json.encodeToString(told))

fun main(arguments: Array<String>) {
    val (url, phone, otherPhone, code, wrongCode) = arguments
    val stranger = Site("$url/api/phone/")
    say(stranger.post<_, CodeRequestErrors>("request/", ask("12")))
    say(stranger.get<Unauthenticated>("phones/"))

    val asked = stranger.post<_, Challenge>("request/", ask(phone))
    say(asked.state)
    val wrong = ConfirmRequest(challenge = asked.challenge, code = wrongCode)
    say(stranger.post<_, ConfirmRefusal>("confirm/", wrong))
    val confirmed = stranger.post<_, Login>("confirm/", ConfirmRequest(asked.challenge, code))
    say(confirmed.user.phone)

    val member = Site(stranger.url, confirmed.token)
    val link = member.post<_, Challenge>("request/", ask(otherPhone, CodePurpose.link))
    say(member.post<_, Login>("confirm/", ConfirmRequest(link.challenge, code)).token)
    val (first, second) = member.get<List<Phone>>("phones/")
    say(listOf(first.phone, second.phone))
    val phones = json.decodeFromString<List<Phone>>(member.ask("POST", "phones/${second.id}/primary/").body())
    say(phones.map { it.phone })
    check(member.ask("DELETE", "phones/${first.id}/").statusCode() == 204)
    say(json.decodeFromString<LastPhoneRefusal>(member.ask("DELETE", "phones/${second.id}/").body()))
}
