// What programs do with undici: node client.mjs PROXY_URL TARGET_URL
// fetches TARGET_URL through the proxy, several at a time, and prints the status and body of each.
import { ProxyAgent, Socks5ProxyAgent, fetch } from 'undici'

const [proxy, target] = process.argv.slice(2)
const dispatcher = proxy.startsWith('http') ? new ProxyAgent(proxy) : new Socks5ProxyAgent(proxy)
try {
  const answers = await Promise.all([1, 2, 3].map(async () => {
    const response = await fetch(target, { dispatcher })
    return `${response.status} ${await response.text()}`
  }))
  console.log(answers.join('\n'))
} catch (error) {
  console.error(error.cause?.message ?? error.message)
  process.exitCode = 1
} finally {
  await dispatcher.close()
}
