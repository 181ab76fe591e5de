import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.io.network.netty.InboundChannelHandlerFactory;
import org.apache.flink.shaded.netty4.io.netty.buffer.ByteBuf;
import org.apache.flink.shaded.netty4.io.netty.buffer.Unpooled;
import org.apache.flink.shaded.netty4.io.netty.channel.Channel;
import org.apache.flink.shaded.netty4.io.netty.channel.ChannelFutureListener;
import org.apache.flink.shaded.netty4.io.netty.channel.ChannelHandler;
import org.apache.flink.shaded.netty4.io.netty.channel.ChannelHandlerContext;
import org.apache.flink.shaded.netty4.io.netty.channel.ChannelInboundHandlerAdapter;
import org.apache.flink.shaded.netty4.io.netty.channel.ChannelInitializer;
import org.apache.flink.shaded.netty4.io.netty.channel.ChannelPipeline;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.DefaultFullHttpResponse;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.FullHttpResponse;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpHeaderNames;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpHeaders;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpRequest;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpResponseStatus;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpServerCodec;
import org.apache.flink.shaded.netty4.io.netty.handler.codec.http.HttpVersion;
import org.apache.flink.shaded.netty4.io.netty.util.ReferenceCountUtil;

/**
 * Refuses what a browser sends for another website to the REST interfaces of JobManager and SQL gateway.
 *
 * <p>Both run whatever they are sent. A request is answered if its Host is a name of this machine, which a website whose
 * name resolves to 127.0.0.1 (DNS rebinding) does not send, and if its Origin, where it has one, is the server itself.
 * Flink finds this class through META-INF/services.
 */
public final class OwnRequestsOnly implements InboundChannelHandlerFactory {

    private static final Set<String> NAMES = Set.of("127.0.0.1", "localhost", "[::1]");
    private static final String REFUSAL =
            "refused: only for requests to 127.0.0.1 or localhost, and not for the pages of other websites\n";

    @Override
    public int priority() {
        return 0;
    }

    @Override
    public Optional<ChannelHandler> createHandler(Configuration configuration, Map<String, String> responseHeaders) {
        return Optional.of(new ChannelInitializer<Channel>() {
            @Override
            protected void initChannel(Channel channel) {
                // Flink's place for it is behind the handler that stores uploaded files.
                ChannelPipeline pipeline = channel.pipeline();
                pipeline.addAfter(pipeline.context(HttpServerCodec.class).name(), null, new Guard());
            }
        });
    }

    private static final class Guard extends ChannelInboundHandlerAdapter {

        private boolean refused;

        @Override
        public void channelRead(ChannelHandlerContext context, Object message) {
            if (!refused && message instanceof HttpRequest && !isOwn(((HttpRequest) message).headers())) {
                refused = true;
                context.writeAndFlush(refusal()).addListener(ChannelFutureListener.CLOSE);
            }
            if (refused) {
                ReferenceCountUtil.release(message);
            } else {
                context.fireChannelRead(message);
            }
        }

        private static boolean isOwn(HttpHeaders headers) {
            List<String> hosts = headers.getAll(HttpHeaderNames.HOST);
            if (hosts.size() != 1 || !NAMES.contains(hosts.get(0).replaceFirst(":\\d*$", "").toLowerCase())) {
                return false;
            }
            return headers.getAll(HttpHeaderNames.ORIGIN).stream().allMatch(("http://" + hosts.get(0))::equalsIgnoreCase);
        }

        private static FullHttpResponse refusal() {
            ByteBuf text = Unpooled.copiedBuffer(REFUSAL, StandardCharsets.UTF_8);
            FullHttpResponse response =
                    new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.FORBIDDEN, text);
            response.headers().set(HttpHeaderNames.CONTENT_TYPE, "text/plain; charset=utf-8");
            response.headers().setInt(HttpHeaderNames.CONTENT_LENGTH, text.readableBytes());
            return response;
        }
    }
}
